"""Between maps and the values of their tiles at the points of a short convolution, see `cook_toom`.

A tile is treated a block of channels at a time, small enough for the first cache and with channels innermost, so that
every loop runs over neighbouring numbers. Matrices come as tuples: their sizes are then known when a loop is compiled,
its sums are written out, and with two sums at once it runs at the speed of the processor's arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.nn.windows import Pair

BLOCK = 64  # channels

Matrix: TypeAlias = tuple[tuple[np.float32, ...], ...]


class Tiling(NamedTuple):
    """Where the tiles of a map lie, and what is done with each.

    Attributes:
        matrix: A (P, E); a tile X of E x E becomes A X A^T.
        transpose: of the matrix.
        step: from one tile to the next.
        before: zeros above and to the left of the map.
        tiles: how many down and across. Rows of tiles are numbered through all maps.
    """

    matrix: Matrix
    transpose: Matrix
    step: int
    before: Pair
    tiles: Pair


@compiled(error_model="numpy", fastmath={"contract"}, inline="always")
def to_tiles(x: np.ndarray, channel: int, tiling: Tiling, rows: Pair, values: np.ndarray) -> None:
    """V = A X A^T for each tile X of some rows of tiles, of C channels from `channel` on.

    x      | (N, H, W, C')      | float32 | zero outside
    rows   | (2,)               | int     | the first, and the one after the last
    values | (P * P, N * T, C)  | float32 | out; T tiles a map, in order
    """
    matrix, _, step, before, (down, across) = tiling
    P, E, C = len(matrix), len(matrix[0]), values.shape[2]
    for start in range(0, C, BLOCK):
        size = min(BLOCK, C - start)
        tile, half = np.empty((E, E * size), np.float32), np.empty((P, E * size), np.float32)
        taps = half.reshape(P, E, size)
        for place in range(rows[0] * across, rows[1] * across):
            row, column = place // across, place % across
            top, left = row % down * step - before[0], column * step - before[1]
            _cut(x[row // down], top, left, channel + start, tile.reshape(E, E, size))
            _combine(matrix, tile, half)
            for p in range(P):
                for q in range(0, P - 1, 2):
                    u, v = values[p * P + q, place, start:], values[p * P + q + 1, place, start:]
                    _two_sums(matrix[q], matrix[q + 1], taps[p], u[:size], v[:size])
                if P % 2:
                    _sum(matrix[P - 1], taps[p], values[p * P + P - 1, place, start : start + size])


@compiled(error_model="numpy", fastmath={"contract"}, inline="always")
def from_tiles(
    values: np.ndarray, tiling: Tiling, rows: Pair, bias: np.ndarray, least: np.float32, y: np.ndarray, channel: int
) -> None:
    """Y = A^T V A of each tile, side by side, plus a bias and at least `least`: the adjoint where tiles do not overlap.

    values | (P * P, N * T, C) | float32 |
    bias   | (C',)             | float32 |
    y      | (N, H, W, C')     | float32 | out, C channels from `channel` on; what reaches over its edges is cut off
    """
    matrix, transpose, step, before, (down, across) = tiling
    (_, H, W, _), P, E, C = y.shape, len(matrix), len(matrix[0]), values.shape[2]
    for start in range(0, C, BLOCK):
        size = min(BLOCK, C - start)
        points, half = np.empty((P, P * size), np.float32), np.empty((E, P * size), np.float32)
        tile = np.empty((E, E, size), np.float32)
        low, high = channel + start, channel + start + size
        for place in range(rows[0] * across, rows[1] * across):
            row, column = place // across, place % across
            top, left = row % down * step - before[0], column * step - before[1]
            _transform_back(transpose, values, place, start, points, half, tile)
            for e in range(min(E, H - top)):
                for d in range(min(E, W - left)):
                    target, source, addend = y[row // down, top + e, left + d, low:high], tile[e, d], bias[low:high]
                    for c in range(size):
                        total = source[c] + addend[c]
                        target[c] = least if total < least else total  # a NaN stays


@compiled(error_model="numpy", fastmath={"contract"}, inline="always")
def add_tiles(values: np.ndarray, tiling: Tiling, images: Pair, y: np.ndarray, channel: int) -> None:
    """The adjoint of `to_tiles`: A^T V A of each tile is added up where the tile lies.

    values | (P * P, N * T, C) | float32 |
    y      | (N, H, W, C')     | float32 | out, C channels from `channel` on
    """
    matrix, transpose, step, before, (down, across) = tiling
    (_, H, W, _), P, E, C = y.shape, len(matrix), len(matrix[0]), values.shape[2]
    for start in range(0, C, BLOCK):
        size = min(BLOCK, C - start)
        points, half = np.empty((P, P * size), np.float32), np.empty((E, P * size), np.float32)
        tile = np.empty((E, E, size), np.float32)
        low, high = channel + start, channel + start + size
        for image in range(images[0], images[1]):
            y[image, :, :, low:high] = 0
            for place in range(image * down * across, (image + 1) * down * across):
                row, column = place // across, place % across
                top, left = row % down * step - before[0], column * step - before[1]
                _transform_back(transpose, values, place, start, points, half, tile)
                for e in range(max(0, -top), min(E, H - top)):
                    for d in range(max(0, -left), min(E, W - left)):
                        target, source = y[image, top + e, left + d, low:high], tile[e, d]
                        for c in range(size):
                            target[c] += source[c]


@compiled(error_model="numpy", fastmath={"contract"})
def _cut(x: np.ndarray, top: int, left: int, channel: int, tile: np.ndarray) -> None:
    """Copy a tile (E, E, size) out of a map (H, W, C), zero outside."""
    (H, W, _), (E, _, size) = x.shape, tile.shape
    for e in range(E):
        for d in range(E):
            if 0 <= top + e < H and 0 <= left + d < W:
                _copy(x[top + e, left + d, channel : channel + size], tile[e, d])
            else:
                tile[e, d] = 0


@compiled(error_model="numpy", fastmath={"contract"}, inline="always")
def _transform_back(
    transpose: Matrix,
    values: np.ndarray,
    place: int,
    start: int,
    points: np.ndarray,
    half: np.ndarray,
    tile: np.ndarray,
) -> None:
    """Tile (E, E, size) = A^T V A, by way of points (P, P * size) and half (E, P * size)."""
    (E, _, size), P = tile.shape, len(points)
    for p in range(P):
        for q in range(P):
            _copy(values[p * P + q, place, start : start + size], points[p, q * size : (q + 1) * size])
    _combine(transpose, points, half)
    for e in range(E):
        _combine(transpose, half[e].reshape(P, size), tile[e])


@compiled(error_model="numpy", fastmath={"contract"})
def _combine(matrix: Matrix, rows: np.ndarray, out: np.ndarray) -> None:
    """The product of a small matrix (J, K) and long rows (K, L)."""
    J = len(matrix)
    for j in range(0, J - 1, 2):
        _two_sums(matrix[j], matrix[j + 1], rows, out[j], out[j + 1])
    if J % 2:
        _sum(matrix[J - 1], rows, out[J - 1])


@compiled(error_model="numpy", fastmath={"contract"})
def _two_sums(
    a: tuple[np.float32, ...], b: tuple[np.float32, ...], rows: np.ndarray, u: np.ndarray, v: np.ndarray
) -> None:
    for i in range(u.size):
        s, t = np.float32(0), np.float32(0)
        for k in range(len(a)):
            s += a[k] * rows[k, i]
            t += b[k] * rows[k, i]
        u[i], v[i] = s, t


@compiled(error_model="numpy", fastmath={"contract"})
def _sum(a: tuple[np.float32, ...], rows: np.ndarray, u: np.ndarray) -> None:
    for i in range(u.size):
        s = np.float32(0)
        for k in range(len(a)):
            s += a[k] * rows[k, i]
        u[i] = s


@compiled(error_model="numpy", fastmath={"contract"})
def _copy(source: np.ndarray, target: np.ndarray) -> None:
    for i in range(target.size):
        target[i] = source[i]
