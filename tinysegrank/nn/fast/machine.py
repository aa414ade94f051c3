"""Interpreter of a `program` in compiled code: threads take the jobs of each step from a shared atomic counter.

A thread starts the next step as soon as all jobs of the current one are done; it doesn't wait for the other threads to
arrive. So a thread that the operating system suspends delays the others only if it is in the middle of a job.

A lesson: spinning was expected to cost nothing, with one processor per thread. But while other programs run, the system
puts two threads on one processor, where the spinning one keeps the other from its job for milliseconds: the median time
for one image was 18 ms, the minimum 9 ms. Now a spinning thread yields after a while, and the median is 11 to 16 ms.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import carray, from_dtype, types
from numba.core import cgutils

from tinysegrank.compiled import address, compiled, intrinsic
from tinysegrank.nn.fast.cook_toom import KINDS, matrices
from tinysegrank.nn.fast.counters import add_one, look
from tinysegrank.nn.fast.fold import fold_rows
from tinysegrank.nn.fast.normalisation import norm_in_place
from tinysegrank.nn.fast.pooling import pool_rows
from tinysegrank.nn.fast.products import WIDTH, multiply_panel
from tinysegrank.nn.fast.tiles import Matrix, Tiling, add_tiles, from_tiles, to_tiles

STEP = np.dtype(
    [
        *[(name, np.int64) for name in ("code", "units", "jobs", "x", "b", "bias", "y", "more")],
        *[(name, np.int64, 4) for name in ("x_shape", "y_shape", "sizes", "strides")],
        *[(name, np.int64, 2) for name in ("before", "tiles")],
        *[(name, np.float64) for name in ("least", "alpha", "beta", "k")],
    ]
)  # code, x, b, bias and y are addresses; `program` sets the other fields that a kind of step uses
FOLD, CUT, PRODUCT, JOIN, ADD, POOL, NORM = range(7)

PATIENCE = 1000  # spins before a waiting thread starts to yield, about 10 us
_functions: dict[tuple[int, int], Any] = {}  # keeps functions alive, as machine code is freed with its function

if hasattr(os, "sched_yield"):
    _let_others_run = types.ExternalFunction("sched_yield", types.int32())
else:

    @compiled(error_model="numpy")
    def _let_others_run() -> None:
        """Do nothing: this system has no call to yield the processor."""


@compiled(error_model="numpy")
def work(program: np.ndarray, counters: np.ndarray) -> None:
    """Run the steps of a program in order, sharing the jobs of each with all threads that call this.

    program  | (S,)   | STEP  |
    counters | (S, 2) | int64 | number of jobs taken, and done, per step; 0 at first, and the same array for all threads
    """
    for number in range(len(program)):
        step, taken, done = program[number], counters[number, :1], counters[number, 1:]
        units, jobs = step.units, step.jobs
        job = add_one(taken)
        while job < jobs:
            call(step.code, step, units * job // jobs, units * (job + 1) // jobs)
            add_one(done)
            job = add_one(taken)
        looks = 0
        while look(done) < jobs:
            looks += 1
            if looks > PATIENCE:
                _let_others_run()


@lru_cache
def code(kind: int, tiling: int) -> int:
    """Return the address of the machine code for a kind of step and of tiles, compiling it at the first call."""
    function = _functions.setdefault((kind, tiling), _function(kind, tiling))
    return address(function, from_dtype(STEP), types.int64, types.int64)


def _function(kind: int, tiling: int) -> Callable[[Any, int, int], None]:
    if kind in (CUT, JOIN, ADD):
        m, r = KINDS[tiling % len(KINDS)]
        outputs, _, inputs = matrices(m, r)
        if kind == JOIN:
            return _joins(_tuples(outputs.T), _tuples(outputs), m)
        if kind == ADD:
            return _adds(_tuples(inputs), _tuples(inputs.T), m)
        matrix = inputs if tiling < len(KINDS) else outputs.T
        return _cuts(_tuples(matrix), _tuples(matrix.T), m)
    return {FOLD: _fold, PRODUCT: _multiply, POOL: _pool, NORM: _norm}[kind]


def _tuples(matrix: np.ndarray) -> Matrix:
    return tuple(tuple(np.float32(entry) for entry in row) for row in matrix)


def _cuts(matrix: Matrix, transpose: Matrix, m: int) -> Callable[[Any, int, int], None]:
    @compiled(error_model="numpy", fastmath={"contract"})  # `to_tiles` is inlined
    def cut(step: Any, start: int, stop: int) -> None:
        x, values = _maps(step.x, step.x_shape), _maps(step.y, step.y_shape)
        tiling = Tiling(matrix, transpose, m, (step.before[0], step.before[1]), (step.tiles[0], step.tiles[1]))
        for g in range(len(values)):
            to_tiles(x, g * values.shape[3], tiling, (start, stop), values[g])

    return cut


def _joins(matrix: Matrix, transpose: Matrix, m: int) -> Callable[[Any, int, int], None]:
    @compiled(error_model="numpy", fastmath={"contract"})  # `from_tiles` is inlined
    def join(step: Any, start: int, stop: int) -> None:
        values, y = _maps(step.x, step.x_shape), _maps(step.y, step.y_shape)
        bias, least = _numbers(step.bias, y.shape[3]), np.float32(step.least)
        tiling = Tiling(matrix, transpose, m, (step.before[0], step.before[1]), (step.tiles[0], step.tiles[1]))
        for g in range(len(values)):
            from_tiles(values[g], tiling, (start, stop), bias, least, y, g * values.shape[3])

    return join


def _adds(matrix: Matrix, transpose: Matrix, m: int) -> Callable[[Any, int, int], None]:
    @compiled(error_model="numpy", fastmath={"contract"})  # `add_tiles` is inlined
    def add(step: Any, start: int, stop: int) -> None:
        values, y = _maps(step.x, step.x_shape), _maps(step.y, step.y_shape)
        tiling = Tiling(matrix, transpose, m, (step.before[0], step.before[1]), (step.tiles[0], step.tiles[1]))
        for g in range(len(values)):
            add_tiles(values[g], tiling, (start, stop), y, g * values.shape[3])

    return add


@compiled(error_model="numpy")
def _norm(step: Any, start: int, stop: int) -> None:
    y = _maps(step.y, step.y_shape)
    pixels = y.reshape(y.size // y.shape[3], y.shape[3])
    norm_in_place(pixels, step.sizes[0], step.alpha, step.beta, step.k, (start, stop))


@compiled(error_model="numpy")
def _pool(step: Any, start: int, stop: int) -> None:
    size, stride = (step.sizes[0], step.sizes[1]), (step.strides[0], step.strides[1])
    pool_rows(_maps(step.x, step.x_shape), size, stride, (start, stop), _maps(step.y, step.y_shape))


@compiled(error_model="numpy")
def _fold(step: Any, start: int, stop: int) -> None:
    x, y, before = _maps(step.x, step.x_shape), _maps(step.y, step.y_shape), (step.before[0], step.before[1])
    fold_rows(x, step.strides[0], before, (start, stop), y)


@compiled(error_model="numpy")
def _multiply(step: Any, start: int, stop: int) -> None:
    """Compute panels start..stop-1 of a step's matrix products; panels are numbered across all points."""
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
def _maps(address: int, shape: np.ndarray) -> np.ndarray:
    return carray(_pointer(address), (shape[0], shape[1], shape[2], shape[3]))


@compiled(error_model="numpy")
def _numbers(address: int, size: int) -> np.ndarray:
    return carray(_pointer(address), (size,))


@intrinsic
def _pointer(_: Any, address: Any) -> Any:  # noqa: ARG001 - numba calls this with types, and uses the generator
    result = types.CPointer(types.float32)

    def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(result))

    return result(types.int64), code


@intrinsic
def call(_: Any, place: Any, step: Any, start: Any, stop: Any) -> Any:
    """Call the compiled function at address `place` with (step, start, stop); its exceptions propagate."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, convention = signature.args[1:], context.call_conv
        function = builder.inttoptr(arguments[0], convention.get_function_type(types.none, kinds).as_pointer())
        status, _ = convention.call_function(builder, function, types.none, kinds, arguments[1:])
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.none(place, step, start, stop), code
