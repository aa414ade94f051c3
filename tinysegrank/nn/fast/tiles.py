"""Winograd transforms from maps to tiles and back; see `cook_toom` for the matrices.

Tiles are transformed in blocks of channels that fit the L1 cache, with channels innermost, so that every loop runs over
contiguous numbers. Matrices are passed as tuples: their sizes are then known to the compiler, which unrolls the sums.
Two sums at a time make the loops as fast as the processor's arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.nn.windows import Pair

BLOCK = 64  # channels per block

Matrix: TypeAlias = tuple[tuple[np.float32, ...], ...]


class Tiling(NamedTuple):
    """Positions of a map's tiles, and the matrix that transforms them.

    Attributes:
        matrix: A (P, E); a tile X (E, E) becomes A X A^T (P, P).
        transpose: A^T (E, P).
        step: distance in pixels from one tile to the next.
        before: rows of zeros above the map, and columns of zeros to its left.
        tiles: number of tiles down and across. Rows of tiles are numbered across all maps.
    """

    matrix: Matrix
    transpose: Matrix
    step: int
    before: Pair
    tiles: Pair


@compiled(error_model="numpy", fastmath={"contract"}, inline="always")
def to_tiles(x: np.ndarray, channel: int, tiling: Tiling, rows: Pair, values: np.ndarray) -> None:
    """Transform each tile X in some rows of tiles to V = A X A^T, for C channels from `channel` on.

    x      | (N, H, W, C')     | float32 | taken as 0 outside
    rows   | (2,)              | int     | first row of tiles, and one past the last
    values | (P * P, N * T, C) | float32 | output; T tiles per map, in row order
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
    """Transform each tile V in some rows of tiles back to Y = A^T V A, and write y = max(Y + bias, least).

    Tiles must not overlap. Without bias and `least` this is the adjoint of `to_tiles`.

    values | (P * P, N * T, C) | float32 |
    rows   | (2,)              | int     | first row of tiles, and one past the last
    bias   | (C',)             | float32 |
    y      | (N, H, W, C')     | float32 | output, in C channels from `channel` on; tiles are cropped at its edges
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
    """Transform each tile V of some images back to A^T V A, and sum them where they overlap: the adjoint of `to_tiles`.

    values | (P * P, N * T, C) | float32 |
    images | (2,)              | int     | first image, and one past the last
    y      | (N, H, W, C')     | float32 | output, in C channels from `channel` on
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
    """Copy a tile (E, E, size) out of a map (H, W, C) that is taken as 0 outside."""
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
    """Compute tile (E, E, size) = A^T V A, where V is number `place` of values, in channels from `start` on.

    points (P, P * size) and half (E, P * size) are buffers.
    """
    (E, _, size), P = tile.shape, len(points)
    for p in range(P):
        for q in range(P):
            _copy(values[p * P + q, place, start : start + size], points[p, q * size : (q + 1) * size])
    _combine(transpose, points, half)
    for e in range(E):
        _combine(transpose, half[e].reshape(P, size), tile[e])


@compiled(error_model="numpy", fastmath={"contract"})
def _combine(matrix: Matrix, rows: np.ndarray, out: np.ndarray) -> None:
    """Multiply a small matrix (J, K) by long rows (K, L)."""
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
