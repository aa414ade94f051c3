"""The stages of a convolution by tiles, as work for `threads.run_stages`.

Maps are (n, H, W, C), with channels last. Values are (G * P, M, C/G): for each group and point, of each tile and each
channel. Filters are (G * P, C/G, F/G).
"""

from __future__ import annotations

import numpy as np

from tinysegrank.nn.fast.geometry import Geometry, jobs
from tinysegrank.nn.fast.products import multiply, rows_at_once
from tinysegrank.nn.fast.threads import Stage, Together
from tinysegrank.nn.fast.tiles import Tiling, add_tiles, convolve_tiles, to_tiles

SUMMED = 2**16  # numbers that are added to a sum at a time, while they are in the cache


def filter_values(
    weight: np.ndarray, taps: np.ndarray, groups: int, *, filters_first: bool
) -> tuple[np.ndarray, Stage]:
    """The filters at the points, and the stage that computes them.

    weight  | (F, C/G, r, r)       | float32 |
    returns | (G * P, C/G, F/G)    | float32 | or (G * P, F/G, C/G) with `filters_first`
    """
    F, C, r, _ = weight.shape
    order = (0, 3, 1, 2) if filters_first else (0, 3, 2, 1)
    split = np.ascontiguousarray(weight.reshape(groups, F // groups, C, r * r).transpose(order))  # (G, r * r, A, B)
    _, _, A, B = split.shape
    values = np.empty((groups, len(taps), A, B), np.float32)

    def transform(start: int, stop: int) -> None:
        for g in range(groups):
            rows = split[g, :, start:stop].reshape(r * r, -1)  # (r * r, a * B)
            values[g, :, start:stop] = np.matmul(taps, rows).reshape(len(taps), stop - start, B)

    return values.reshape(-1, A, B), Stage(transform, A, jobs(A, values.size))


def filter_gradient(gvalues: np.ndarray, taps: np.ndarray, groups: int) -> tuple[np.ndarray, Stage]:
    """The adjoint of `filter_values`, from (G * P, F/G, C/G) to (F, C/G, r, r), and the stage that computes it."""
    _, F, C = gvalues.shape
    P, r = len(taps), round(taps.shape[1] ** 0.5)
    split = gvalues.reshape(groups, P, F, C)
    gweight = np.empty((groups, F, C, r * r), np.float32)

    def transform(start: int, stop: int) -> None:
        for g in range(groups):
            rows = np.matmul(taps.T, split[g, :, start:stop].reshape(P, -1))  # (r * r, f * C)
            gweight[g, start:stop] = rows.T.reshape(stop - start, C, r * r)

    return gweight.reshape(groups * F, C, r, r), Stage(transform, F, jobs(F, gvalues.size))


def empty_values(how: Geometry, groups: int, channels: int) -> np.ndarray:
    """Room for the tiles of one chunk, (G * P, M, C/G)."""
    return np.empty((groups * len(how.taps), how.chunk * how.tiles, channels // groups), np.float32)


def cut(x: np.ndarray, tiling: Tiling, values: np.ndarray) -> Stage:
    """Fill the values with the tiles of x (n, H, W, C)."""
    groups, points = _groups(values, x.shape[3]), len(tiling.matrix) ** 2
    units = len(x) * tiling.tiles[0]

    def cut_rows(start: int, stop: int) -> None:
        for g in range(groups):
            to_tiles(x, g * values.shape[2], tiling, (start, stop), values[g * points : (g + 1) * points])

    return Stage(cut_rows, units, jobs(units, values.size))


def convolve(
    x: np.ndarray,
    how: Geometry,
    filters: np.ndarray,
    bias: np.ndarray,
    least: np.float32,
    y: np.ndarray,
    rooms: tuple[np.ndarray, np.ndarray],
) -> Together:
    """Y (n, OH, OW, F) from x (n, H, W, C): cut, multiply with the filters, and join with a bias, at least `least`.

    Rooms are those of `empty_values` for the tiles of x and of y.
    """
    values, products = rooms
    places = len(x) * how.tiles
    rows = rows_at_once(places, *filters.shape[1:])

    def work(thread: int, threads: int, arrivals: np.ndarray) -> None:
        convolve_tiles(
            x, how.inputs, values, filters, places, rows, products, how.outputs, bias, least, y, thread, threads,
            arrivals,
        )  # fmt: skip

    return Together(work, _point_jobs(filters, places))


def add(values: np.ndarray, tiling: Tiling, y: np.ndarray) -> Stage:
    """Add overlapping tiles into y (n, H, W, C)."""
    groups, points = _groups(values, y.shape[3]), len(tiling.matrix) ** 2

    def add_images(start: int, stop: int) -> None:
        for g in range(groups):
            add_tiles(values[g * points : (g + 1) * points], tiling, (start, stop), y, g * values.shape[2])

    return Stage(add_images, len(y), jobs(len(y), values.size))


def product(a: np.ndarray, b: np.ndarray, out: np.ndarray, places: int) -> Stage:
    """Out (G * P, M, N) = a (G * P, M, K) @ b (G * P, K, N) at the first places M."""

    def multiply_points(start: int, stop: int) -> None:
        multiply(a[start:stop, :places], b[start:stop], out[start:stop, :places])

    return Stage(multiply_points, len(b), _point_jobs(b, places))


def correlate(a: np.ndarray, b: np.ndarray, total: np.ndarray, places: int, *, more: bool) -> Stage:
    """Total (G * P, J, K) = a (G * P, M, J), transposed, @ b (G * P, M, K); or, of `more`, added to the total."""
    step = max(1, SUMMED // total[0].size)
    transposed = a.swapaxes(1, 2)

    def multiply_points(start: int, stop: int) -> None:
        if not more:
            multiply(transposed[start:stop, :, :places], b[start:stop, :places], total[start:stop])
            return
        result = np.empty((step, *total.shape[1:]), np.float32)
        for first in range(start, stop, step):
            points = slice(first, min(stop, first + step))
            summand = result[: points.stop - first]
            multiply(transposed[points, :, :places], b[points, :places], summand)
            total[points] += summand

    return Stage(multiply_points, len(total), _point_jobs(total, places))


def _groups(values: np.ndarray, channels: int) -> int:
    return channels // int(values.shape[2])


def _point_jobs(matrices: np.ndarray, places: int) -> int:
    """A multiplication takes about a thirtieth of the time of moving a number."""
    return jobs(len(matrices), matrices.size * places // 32)
