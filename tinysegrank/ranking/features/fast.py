"""Numba versions of functions in `chamfer`, on one thread; the results are exactly the same.

A pixel's squared distance to a set is the minimum over columns, dx away, of dx^2 + dy^2, with dy the distance in the
column. Distances beyond the largest radius do not matter, so dx is small and all numbers fit 16 bits.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled


@compiled()
def nearest_edges(
    edges: np.ndarray,
    levels: np.ndarray,
    places: np.ndarray,
    thresholds: int,
    offsets: np.ndarray,
    starts: np.ndarray,
    ring_of: np.ndarray,
    bin_of: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the edges nearest to pixels `places` (n, 2) at each threshold; return `bins` and `nearest` of `ImageEdges`.

    `edges` and `levels` are `strengths` and `levels` of `ImageEdges`, and `thresholds` is the number of thresholds. The
    other arguments are the results of `chamfer._disc` and `chamfer._bin_of_squares`.
    """
    H, W = edges.shape
    n, limit = len(places), len(bin_of) - 2
    bins = np.empty((n, thresholds), np.uint8)
    strengths = np.zeros((n, thresholds), np.float32)
    for t in range(thresholds):
        down = _squared_in_columns(levels, t, limit)
        for i in range(n):
            y, x = places[i, 0], places[i, 1]
            least = down[y, x]
            dx = 1
            while dx * dx < least:
                if x >= dx:
                    least = min(least, down[y, x - dx] + dx * dx)
                if x + dx < W:
                    least = min(least, down[y, x + dx] + dx * dx)
                dx += 1
            bins[i, t] = bin_of[least]
            if least <= limit:
                for o in range(starts[ring_of[least]], starts[ring_of[least] + 1]):
                    r, c = y + offsets[o, 0], x + offsets[o, 1]
                    if 0 <= r < H and 0 <= c < W:
                        strengths[i, t] = max(strengths[i, t], edges[r, c])
    return bins, strengths


@compiled()
def edges_to_boundary(edges: np.ndarray, levels: np.ndarray, boundary: np.ndarray, bin_of: np.ndarray) -> np.ndarray:
    """Return the sums of all pixels' edge strengths by level and by bin of the distance to the boundary: (11, 7).

    `edges` and `levels` are `strengths` and `levels` of `ImageEdges`, `boundary` is 1 at the boundary's pixels and 0
    elsewhere, and `bin_of` is the result of `chamfer._bin_of_squares`.
    """
    H, W = edges.shape
    limit = len(bin_of) - 2
    reach = int(np.sqrt(limit))
    sums = np.zeros((11, 7))
    down = _squared_in_columns(boundary, np.int64(0), limit)  # not a literal, which is another type
    least = np.empty(W, np.int16)
    for y in range(H):
        for x in range(W):
            least[x] = down[y, x]
        for dx in range(1, min(reach, W - 1) + 1):  # whole rows at a time, so that it is vectorised
            squared = np.int16(dx * dx)
            for x in range(W - dx):
                least[x] = min(least[x], np.int16(down[y, x + dx] + squared))
            for x in range(W - dx):
                least[x + dx] = min(least[x + dx], np.int16(down[y, x] + squared))
        for x in range(W):
            sums[levels[y, x], bin_of[least[x]]] += edges[y, x]
    return sums


@compiled()
def _squared_in_columns(levels: np.ndarray, below: int | np.int64, limit: int) -> np.ndarray:
    """Return each pixel's squared distance to the nearest pixel of its column with a level above `below`.

    levels  | (H, W) | uint8 |
    returns | (H, W) | int16 | at most limit + 1
    """
    H, W = levels.shape
    far = np.int16(np.sqrt(limit) + 1)
    down = np.empty((H, W), np.int16)
    for x in range(W):
        down[0, x] = 0 if levels[0, x] > below else far
    for y in range(1, H):
        for x in range(W):
            down[y, x] = 0 if levels[y, x] > below else min(np.int16(down[y - 1, x] + 1), far)
    for y in range(H - 2, -1, -1):
        for x in range(W):
            down[y, x] = min(down[y, x], np.int16(down[y + 1, x] + 1))
    for y in range(H):
        for x in range(W):
            down[y, x] = min(down[y, x] * down[y, x], limit + 1)
    return down
