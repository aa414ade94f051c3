"""Programs: the steps of some layers on arrays whose places are known, done by all threads outside Python.

Maps are (n, H, W, C), with channels last. Values are (G, P, M, C/G): for each group and point, of each tile and each
channel. Filters are packed, see `products`. Steps are cut alike for any number of threads, no two jobs write to one
place, and results are the same to the bit.

A lesson: steps that threads begin in Python were expected to cost a few microseconds more, and cost 70, as all threads
come out of a barrier at once and one at a time may go on in Python.
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

JOBS = 16  # of one step, at most
JOB = 2**14  # numbers that are worth a job of their own


class Program:
    """Steps in order; methods add one each.

    The arrays that steps work on are kept as long as the program.

    Args:
        x, y: arrays that `run` may put others in the place of, whatever part of them a step takes or fills.
    """

    def __init__(self, x: np.ndarray | None = None, y: np.ndarray | None = None) -> None:
        self._steps: list[dict[str, Any]] = []
        self._arrays: list[np.ndarray] = []
        self._open = {"x": x, "y": y}
        self._places: list[tuple[str, int, str, int]] = []  # of "x" or "y": step, field, and bytes from its start
        self._made: np.ndarray | None = None

    def fold(self, x: np.ndarray, stride: int, before: Pair, y: np.ndarray) -> None:
        """Fold x (n, C, H, W), see `fold`."""
        self._add(FOLD, len(y) * y.shape[1], y.size, x, y, strides=(stride, 0, 0, 0), before=before)

    def cut(self, x: np.ndarray, how: Geometry, values: np.ndarray, *, outputs: bool = False) -> None:
        """Fill values with the tiles of x; as the adjoint of `join` with `outputs`, else of `add`."""
        where = how.where(outputs=outputs)
        self._add(CUT, len(x) * how.tiles[0], values.size, x, values, **where)

    def join(self, values: np.ndarray, how: Geometry, bias: np.ndarray, least: np.float32, y: np.ndarray) -> None:
        """Put tiles side by side into y, plus a bias and at least `least`."""
        where = how.where(outputs=True) | {"tiling": how.kind}
        self._add(JOIN, len(y) * how.tiles[0], values.size, values, y, bias=bias, least=least, **where)

    def add(self, values: np.ndarray, how: Geometry, y: np.ndarray) -> None:
        """Add overlapping tiles into y."""
        self._add(ADD, len(y), values.size, values, y, **how.where(outputs=False))

    def multiply(self, a: np.ndarray, filters: np.ndarray, out: np.ndarray, places: int) -> None:
        """Out (G, P, M, N) = a (G, P, M, K) @ filters (G * P, panels, K, WIDTH) at the first places M."""
        _, _, M, K = a.shape
        N, (points, panels) = out.shape[3], filters.shape[:2]
        self._add(
            PRODUCT, points * panels, filters.size * places // 32, a, out, b=filters, sizes=(places, K, N, WIDTH),
            strides=(K, 1, panels * K * WIDTH, K * WIDTH), x_shape=(M * K, 0, 0, 0), y_shape=(M * N, 0, 0, 0),
        )  # fmt: skip

    def correlate(self, a: np.ndarray, b: np.ndarray, total: np.ndarray, places: int, *, more: bool) -> None:
        """Total (G, P, J, K) = a (G, P, M, J), transposed, @ b (G, P, M, K); or, of `more`, added to the total."""
        (G, P, M, J), K = a.shape, b.shape[3]
        panels = -(-K // WIDTH)
        self._add(
            PRODUCT, G * P * panels, total.size * places // 32, a, total, b=b, sizes=(J, places, K, K),
            strides=(1, J, M * K, WIDTH), x_shape=(M * J, 0, 0, 0), y_shape=(J * K, 0, 0, 0), more=more,
        )  # fmt: skip

    def pool(self, x: np.ndarray, size: Pair, stride: Pair, y: np.ndarray) -> None:
        """The largest of each window of x (n, H, W, C) into y (n, OH, OW, C)."""
        self._add(POOL, len(y) * y.shape[1], x.size, x, y, sizes=(*size, 0, 0), strides=(*stride, 0, 0))

    def norm(self, y: np.ndarray, *, size: int, alpha: float, beta: float, k: float) -> None:
        """Normalise y (n, H, W, C) in its place."""
        pixels = y.size // y.shape[3]
        self._add(NORM, pixels, 4 * y.size, y, y, sizes=(size, 0, 0, 0), alpha=alpha, beta=beta, k=k)

    def run(self, *, threads: int | None = None, x: np.ndarray | None = None, y: np.ndarray | None = None) -> None:
        """Do all steps, on as many threads as BLAS may use unless told.

        Args:
            threads: how many.
            x, y: in the place of the program's own, of the same shapes.
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
                    raise AssertionError(f"{name} of a step has to lie in one piece")
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
    """Do a program; what its addresses point to is held as long as a thread may be at it."""
    work(program, counters)


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
