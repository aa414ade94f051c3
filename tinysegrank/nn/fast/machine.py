"""What threads do outside Python: the steps of a `program`, each cut into jobs that whoever is free takes.

A thread goes on to the next step when all jobs of the last are done, not when all threads have come: one that the
system does not run for a while holds nobody up, unless it is in the middle of a job.

A lesson: a thread that waits in a loop was expected to cost nothing where each thread has a processor. Beside other
work the system puts both on one, where the waiting one keeps the other from its job for milliseconds: one image took
18 ms by the median where the least was 9. Now it lets others run after a while, and the median is 11 to 16.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numba import carray, types

from tinysegrank.compiled import compiled, intrinsic
from tinysegrank.nn.fast.cook_toom import KINDS, matrices
from tinysegrank.nn.fast.counters import add_one, look
from tinysegrank.nn.fast.fold import fold_rows
from tinysegrank.nn.fast.normalisation import norm_in_place
from tinysegrank.nn.fast.pooling import pool_rows
from tinysegrank.nn.fast.products import WIDTH, multiply_panel
from tinysegrank.nn.fast.tiles import Matrix, Tiling, add_tiles, from_tiles, to_tiles
from tinysegrank.nn.windows import Pair

STEP = np.dtype(
    [
        *[(name, np.int64) for name in ("kind", "tiling", "units", "jobs", "x", "b", "bias", "y", "more")],
        *[(name, np.int64, 4) for name in ("x_shape", "y_shape", "sizes", "strides")],
        *[(name, np.int64, 2) for name in ("before", "tiles")],
        *[(name, np.float64) for name in ("least", "alpha", "beta", "k")],
    ]
)  # x, b, bias and y are addresses; the rest depends on the kind, see `program`
FOLD, CUT, PRODUCT, JOIN, ADD, POOL, NORM = range(7)

PATIENCE = 1000  # looks before a waiting thread lets others run, some 10 us

if hasattr(os, "sched_yield"):
    _let_others_run = types.ExternalFunction("sched_yield", types.int32())
else:

    @compiled(error_model="numpy")
    def _let_others_run() -> None:
        """Nothing, where the system has no such call."""


def _tuples(matrix: np.ndarray) -> Matrix:
    return tuple(tuple(np.float32(entry) for entry in row) for row in matrix)


def _constants(m: int, r: int) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """B^T, B, A and A^T of F(m, r), known when the machine is compiled."""
    outputs, _, inputs = matrices(m, r)
    return _tuples(inputs), _tuples(inputs.T), _tuples(outputs.T), _tuples(outputs)


_B0, _C0, _A0, _Y0 = _constants(*KINDS[0])
_B1, _C1, _A1, _Y1 = _constants(*KINDS[1])
_B2, _C2, _A2, _Y2 = _constants(*KINDS[2])
_B3, _C3, _A3, _Y3 = _constants(*KINDS[3])
_M0, _M1, _M2, _M3 = (m for m, _ in KINDS)


@compiled(error_model="numpy")
def work(program: np.ndarray, counters: np.ndarray) -> None:
    """Do jobs of one step after the other until there are none.

    program  | (S,)   | STEP  |
    counters | (S, 2) | int64 | jobs taken and done, 0 at first; the same for all threads
    """
    for number in range(len(program)):
        step, taken, done = program[number], counters[number, :1], counters[number, 1:]
        units, jobs = step.units, step.jobs
        job = add_one(taken)
        while job < jobs:
            _do(step, units * job // jobs, units * (job + 1) // jobs)
            add_one(done)
            job = add_one(taken)
        looks = 0
        while look(done) < jobs:
            looks += 1
            if looks > PATIENCE:
                _let_others_run()


@compiled(error_model="numpy")
def _do(step: Any, start: int, stop: int) -> None:
    kind = step.kind
    if kind == PRODUCT:
        _multiply(step, start, stop)
    elif kind == CUT:
        _cut(step, (start, stop))
    elif kind == JOIN:
        _join(step, (start, stop))
    elif kind == ADD:
        _add(step, (start, stop))
    else:
        y = _maps(step.y, step.y_shape)
        if kind == NORM:
            pixels = y.reshape(y.size // y.shape[3], y.shape[3])
            norm_in_place(pixels, step.sizes[0], step.alpha, step.beta, step.k, (start, stop))
        elif kind == POOL:
            size, stride = (step.sizes[0], step.sizes[1]), (step.strides[0], step.strides[1])
            pool_rows(_maps(step.x, step.x_shape), size, stride, (start, stop), y)
        else:
            before = (step.before[0], step.before[1])
            fold_rows(_maps(step.x, step.x_shape), step.strides[0], before, (start, stop), y)


@compiled(error_model="numpy")
def _multiply(step: Any, start: int, stop: int) -> None:
    """Products, numbered by panel and then by point."""
    M, K, N = step.sizes[0], step.sizes[1], step.sizes[2]
    panels = (N + WIDTH - 1) // WIDTH
    for number in range(start, stop):
        point, panel = number // panels, number % panels
        a = _numbers(step.x + 4 * point * step.x_shape[0], step.x_shape[0])
        b = _numbers(step.b + 4 * (point * step.strides[2] + panel * step.strides[3]), step.strides[2])
        y = _numbers(step.y + 4 * point * step.y_shape[0], step.y_shape[0])
        steps = (step.strides[0], step.strides[1])
        multiply_panel(a, steps, b, step.sizes[3], y, (M, K, N), panel, step.more != 0)


@compiled(error_model="numpy")
def _cut(step: Any, rows: Pair) -> None:
    x, values = _maps(step.x, step.x_shape), _maps(step.y, step.y_shape)
    before, tiles = (step.before[0], step.before[1]), (step.tiles[0], step.tiles[1])
    for g in range(len(values)):
        v, channel = values[g], g * values.shape[3]
        if step.tiling == 0:
            to_tiles(x, channel, Tiling(_B0, _C0, _M0, before, tiles), rows, v)
        elif step.tiling == 1:
            to_tiles(x, channel, Tiling(_B1, _C1, _M1, before, tiles), rows, v)
        elif step.tiling == 2:
            to_tiles(x, channel, Tiling(_B2, _C2, _M2, before, tiles), rows, v)
        elif step.tiling == 3:
            to_tiles(x, channel, Tiling(_B3, _C3, _M3, before, tiles), rows, v)
        elif step.tiling == 4:
            to_tiles(x, channel, Tiling(_A0, _Y0, _M0, before, tiles), rows, v)
        elif step.tiling == 5:
            to_tiles(x, channel, Tiling(_A1, _Y1, _M1, before, tiles), rows, v)
        elif step.tiling == 6:
            to_tiles(x, channel, Tiling(_A2, _Y2, _M2, before, tiles), rows, v)
        else:
            to_tiles(x, channel, Tiling(_A3, _Y3, _M3, before, tiles), rows, v)


@compiled(error_model="numpy")
def _join(step: Any, rows: Pair) -> None:
    values, y = _maps(step.x, step.x_shape), _maps(step.y, step.y_shape)
    bias, least = _numbers(step.bias, y.shape[3]), np.float32(step.least)
    before, tiles = (step.before[0], step.before[1]), (step.tiles[0], step.tiles[1])
    for g in range(len(values)):
        v, channel = values[g], g * values.shape[3]
        if step.tiling == 0:
            from_tiles(v, Tiling(_A0, _Y0, _M0, before, tiles), rows, bias, least, y, channel)
        elif step.tiling == 1:
            from_tiles(v, Tiling(_A1, _Y1, _M1, before, tiles), rows, bias, least, y, channel)
        elif step.tiling == 2:
            from_tiles(v, Tiling(_A2, _Y2, _M2, before, tiles), rows, bias, least, y, channel)
        else:
            from_tiles(v, Tiling(_A3, _Y3, _M3, before, tiles), rows, bias, least, y, channel)


@compiled(error_model="numpy")
def _add(step: Any, images: Pair) -> None:
    values, y = _maps(step.x, step.x_shape), _maps(step.y, step.y_shape)
    before, tiles = (step.before[0], step.before[1]), (step.tiles[0], step.tiles[1])
    for g in range(len(values)):
        v, channel = values[g], g * values.shape[3]
        if step.tiling == 0:
            add_tiles(v, Tiling(_B0, _C0, _M0, before, tiles), images, y, channel)
        elif step.tiling == 1:
            add_tiles(v, Tiling(_B1, _C1, _M1, before, tiles), images, y, channel)
        elif step.tiling == 2:
            add_tiles(v, Tiling(_B2, _C2, _M2, before, tiles), images, y, channel)
        else:
            add_tiles(v, Tiling(_B3, _C3, _M3, before, tiles), images, y, channel)


@compiled(error_model="numpy")
def _maps(address: int, shape: np.ndarray) -> np.ndarray:
    maps: np.ndarray = carray(_pointer(address), (shape[0], shape[1], shape[2], shape[3]))
    return maps


@compiled(error_model="numpy")
def _numbers(address: int, size: int) -> np.ndarray:
    numbers: np.ndarray = carray(_pointer(address), (size,))
    return numbers


@intrinsic
def _pointer(_: Any, address: Any) -> Any:  # noqa: ARG001 - numba gives the types, and takes the code
    result = types.CPointer(types.float32)

    def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(result))

    return result(types.int64), code
