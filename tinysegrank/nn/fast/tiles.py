"""Between maps and the values of their tiles at the points of a short convolution, see `cook_toom`.

Channels are the innermost axis throughout, so that every loop runs over neighbouring numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tinysegrank.nn.windows import Pair

_jit = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


class Tiling(NamedTuple):
    """Where the tiles of a map lie, and what is done with each, down and across.

    left, right | (P, E), (Q, D) | float32 | L and R: a tile X of E x D becomes L X R^T
    step: from one tile to the next; before: zeros before the map; tiles: how many.
    """

    left: np.ndarray
    right: np.ndarray
    step: Pair
    before: Pair
    tiles: Pair


@_jit  # type: ignore[untyped-decorator]
def to_tiles(x: np.ndarray, images: Pair, channel: int, tiling: Tiling, values: np.ndarray) -> None:
    """V = L X R^T for each tile X of some images, and C channels from one on.

    x      | (N, H, W, C')     | float32 | any strides; zero outside
    values | (P * Q, N * T, C) | float32 | out; T tiles of each map
    """
    left, right, step, before, tiles = tiling
    (_, H, W, _), (P, E), (Q, D), C = x.shape, left.shape, right.shape, values.shape[2]
    tall, wide = (tiles[0] - 1) * step[0] + E, (tiles[1] - 1) * step[1] + D
    padded = np.zeros((tall, wide, C), np.float32)
    rows = padded.reshape(tall, wide * C)
    half = np.empty((P, wide * C), np.float32)
    taps = half.reshape(P, wide, C)
    for image in range(images[0], images[1]):
        for h in range(min(H, tall - before[0])):
            for w in range(min(W, wide - before[1])):
                for c in range(C):
                    padded[before[0] + h, before[1] + w, c] = x[image, h, w, channel + c]
        for r in range(tiles[0]):
            top = r * step[0]
            for p in range(P):
                _combine(left[p], rows[top : top + E], half[p])
            for s in range(tiles[1]):
                tile, start = (image * tiles[0] + r) * tiles[1] + s, s * step[1]
                for p in range(P):
                    for q in range(Q):
                        _combine(right[q], taps[p, start : start + D], values[p * Q + q, tile])


@_jit  # type: ignore[untyped-decorator]
def from_tiles(values: np.ndarray, images: Pair, channel: int, tiling: Tiling, bias: np.ndarray, y: np.ndarray) -> None:
    """The adjoint of `to_tiles`: L^T V R of every tile is added up where the tile lies, on top of a bias.

    values | (P * Q, N * T, C) | float32 |
    bias   | (C',)             | float32 |
    y      | (N, H, W, C')     | float32 | out; what reaches over its edges is cut off
    """
    left, right, step, before, tiles = tiling
    (_, H, W, _), (P, E), (Q, D), C = y.shape, left.shape, right.shape, values.shape[2]
    left, right = left.T.copy(), right.T.copy()
    tall, wide = (tiles[0] - 1) * step[0] + E, (tiles[1] - 1) * step[1] + D
    padded = np.empty((tall, wide * C), np.float32)
    points = np.empty((Q, C), np.float32)
    half = np.empty((P, D * C), np.float32)
    taps = half.reshape(P, D, C)
    row = np.empty(D * C, np.float32)
    for image in range(images[0], images[1]):
        padded[:] = 0
        for r in range(tiles[0]):
            for s in range(tiles[1]):
                tile = (image * tiles[0] + r) * tiles[1] + s
                for p in range(P):
                    for q in range(Q):
                        points[q] = values[p * Q + q, tile]
                    for d in range(D):
                        _combine(right[d], points, taps[p, d])
                for e in range(E):
                    _combine(left[e], half, row)
                    target = padded[r * step[0] + e, s * step[1] * C :]
                    for i in range(D * C):
                        target[i] += row[i]
        for h in range(H):
            for w in range(W):
                source = padded[before[0] + h, (before[1] + w) * C :]
                for c in range(C):
                    y[image, h, w, channel + c] = source[c] + bias[channel + c]


@_jit  # type: ignore[untyped-decorator]
def _combine(weights: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    """Put the weighted sum of rows into `out`, three rows at a time, to load and store the sum less often."""
    K, L = rows.shape
    for k in range(0, K - 2, 3):
        a, b, c = weights[k], weights[k + 1], weights[k + 2]
        u, v, w = rows[k], rows[k + 1], rows[k + 2]
        if k == 0:
            for i in range(L):
                out[i] = a * u[i] + b * v[i] + c * w[i]
        else:
            for i in range(L):
                out[i] += a * u[i] + b * v[i] + c * w[i]
    for k in range(K - K % 3, K):
        a, u = weights[k], rows[k]
        if k == 0:
            for i in range(L):
                out[i] = a * u[i]
        else:
            for i in range(L):
                out[i] += a * u[i]
