"""Programs: lists of steps (transform tiles, multiply, pool, ...) on fixed arrays, run by all threads in compiled code.

Maps are (n, H, W, C), with channels last. Values, the transformed tiles, are (G, P, M, C/G) for G groups, P points and
M tiles. Filters are packed, see `products`. A step is split into the same jobs for any number of threads, and no two
jobs write to the same memory, so that results are the same to the bit.

A lesson: starting each step from Python was expected to cost a few microseconds more. It cost 70, because all threads
leave a barrier at once and then queue for the GIL.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinysegrank.nn.fast.geometry import Geometry
from tinysegrank.nn.fast.machine import ADD, CUT, FOLD, JOIN, NORM, POOL, PRODUCT, STEP, code, work
from tinysegrank.nn.fast.products import WIDTH
from tinysegrank.nn.fast.threads import helped
from tinysegrank.nn.windows import Pair

JOBS = 16  # maximum number of jobs per step
JOB = 2**14  # minimum number of array entries per job


class Program:
    """A list of steps; every method but `run` appends one. The program keeps the arrays that its steps use alive.

    Args:
        x, y: arrays that `run` may replace; steps may use any slices of them.
    """

    def __init__(self, x: np.ndarray | None = None, y: np.ndarray | None = None) -> None:
        self._steps: list[dict[str, Any]] = []
        self._arrays: list[np.ndarray] = []
        self._open = {"x": x, "y": y}
        self._places: list[tuple[str, int, str, int]] = []  # uses: "x" or "y", step, field, offset in bytes
        self._made: np.ndarray | None = None

    def fold(self, x: np.ndarray, stride: int, before: Pair, y: np.ndarray) -> None:
        """Append a step that folds the stride of x (n, C, H, W) into channels of y (n, h, w, C * s * s), see `fold`."""
        self._add(FOLD, len(y) * y.shape[1], y.size, x, y, strides=(stride, 0, 0, 0), before=before)

    def cut(self, x: np.ndarray, how: Geometry, values: np.ndarray, *, outputs: bool = False) -> None:
        """Append a step that cuts maps x into tiles and transforms these to values.

        The tiles overlap, as those of a convolution's input do, and the step is the adjoint of `add`; with `outputs`
        they lie side by side, as those of its output do, and the step is the adjoint of `join`.
        """
        where = how.where(outputs=outputs)
        self._add(CUT, len(x) * how.tiles[0], values.size, x, values, **where)

    def join(self, values: np.ndarray, how: Geometry, bias: np.ndarray, least: np.float32, y: np.ndarray) -> None:
        """Append a step that transforms values back to tiles of maps y, side by side; y = max(tiles + bias, least)."""
        where = how.where(outputs=True) | {"tiling": how.kind}
        self._add(JOIN, len(y) * how.tiles[0], values.size, values, y, bias=bias, least=least, **where)

    def add(self, values: np.ndarray, how: Geometry, y: np.ndarray) -> None:
        """Append a step that transforms values back to tiles of maps y, summing them where they overlap."""
        self._add(ADD, len(y), values.size, values, y, **how.where(outputs=False))

    def multiply(self, a: np.ndarray, filters: np.ndarray, out: np.ndarray, places: int) -> None:
        """Append a step that multiplies values by filters at each point, for the first `places` tiles.

        out (G, P, M, N) = a (G, P, M, K) @ filters (G * P, panels, K, WIDTH)
        """
        _, _, M, K = a.shape
        N, (points, panels) = out.shape[3], filters.shape[:2]
        self._add(
            PRODUCT, points * panels, filters.size * places // 32, a, out, b=filters, sizes=(places, K, N, WIDTH),
            strides=(K, 1, panels * K * WIDTH, K * WIDTH), x_shape=(M * K, 0, 0, 0), y_shape=(M * N, 0, 0, 0),
        )  # fmt: skip

    def correlate(self, a: np.ndarray, b: np.ndarray, total: np.ndarray, places: int, *, more: bool) -> None:
        """Append a step that multiplies values by values at each point, summing over the first `places` tiles.

        total (G, P, J, K) = a (G, P, M, J)^T @ b (G, P, M, K), or with `more` total += a^T @ b
        """
        (G, P, M, J), K = a.shape, b.shape[3]
        panels = -(-K // WIDTH)
        self._add(
            PRODUCT, G * P * panels, total.size * places // 32, a, total, b=b, sizes=(J, places, K, K),
            strides=(1, J, M * K, WIDTH), x_shape=(M * J, 0, 0, 0), y_shape=(J * K, 0, 0, 0), more=more,
        )  # fmt: skip

    def pool(self, x: np.ndarray, size: Pair, stride: Pair, y: np.ndarray) -> None:
        """Append a step that max-pools x (n, H, W, C) into y (n, OH, OW, C)."""
        self._add(POOL, len(y) * y.shape[1], x.size, x, y, sizes=(*size, 0, 0), strides=(*stride, 0, 0))

    def norm(self, y: np.ndarray, *, size: int, alpha: float, beta: float, k: float) -> None:
        """Append a step that applies local response normalisation to y (n, H, W, C), in place."""
        pixels = y.size // y.shape[3]
        self._add(NORM, pixels, 4 * y.size, y, y, sizes=(size, 0, 0, 0), alpha=alpha, beta=beta, k=k)

    def run(self, *, threads: int | None = None, x: np.ndarray | None = None, y: np.ndarray | None = None) -> None:
        """Run all steps.

        Args:
            threads: 1 for this thread alone; otherwise as many threads as BLAS may use.
            x, y: arrays to use instead of the program's own x and y, of the same shapes.
        """
        if self._made is None:
            self._made = np.zeros(len(self._steps), STEP)
            for number, step in enumerate(self._steps):
                for name, value in step.items():
                    self._made[name][number] = value
        program, others = self._made, {"x": x, "y": y}
        if x is not None or y is not None:
            program = program.copy()
            for which, number, field, offset in self._places:
                if (other := others[which]) is not None:
                    program[field][number] = _address(other) + offset
        counters = np.zeros((len(program), 2), np.int64)
        if threads == 1:
            work(program, counters)
        else:
            helped(partial(_work, program, counters, (self._arrays, x, y)), int(program["jobs"].max()))

    def _add(self, kind: int, units: int, numbers: int, x: np.ndarray, y: np.ndarray, **options: Any) -> None:
        step = {
            "code": code(kind, options.pop("tiling", 0)),
            "units": units,
            "jobs": min(units, JOBS, max(1, numbers // JOB)),
        }
        for name, array in (("x", x), ("y", y), *((name, options.get(name)) for name in ("b", "bias"))):
            if array is not None:
                if not array.flags.c_contiguous:
                    raise AssertionError(f"the step's array {name} must be contiguous")
                self._arrays.append(array)
                step[name] = _address(array)
                self._note_place(name, array)
        shapes = {name: array.shape for name, array in (("x_shape", x), ("y_shape", y)) if name not in options}
        self._steps.append(options | shapes | step)

    def _note_place(self, field: str, array: np.ndarray) -> None:
        for which, whole in self._open.items():
            if whole is not None and 0 <= (offset := _address(array) - _address(whole)) < whole.nbytes:
                self._places.append((which, len(self._steps), field, offset))


def _work(program: np.ndarray, counters: np.ndarray, held: Any) -> None:  # noqa: ARG001
    """Run a program; `held` keeps the arrays behind its addresses alive while a thread may use them."""
    work(program, counters)


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
