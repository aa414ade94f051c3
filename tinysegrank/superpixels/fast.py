"""Numba versions of functions in `lab` and `clusters`, on one thread; the results are exactly the same.

Inner loops run along one row with the same few operations for each pixel, so that the compiler vectorises them.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.superpixels.clusters import FAR
from tinysegrank.superpixels.lab import MIX_BITS, ROOT_BITS, UNIT, WEIGHT_BITS

LAB_SHIFT = ROOT_BITS - UNIT.bit_length() + 1


@compiled()
def lab_units(rgb: np.ndarray, light: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Numba version of `lab.lab_units`: convert sRGB (H, W, 3) to Lab (3, H, W) by two lookup tables."""
    H, W, _ = rgb.shape
    lab = np.empty((3, H, W), np.int16)
    half_light, half = 1 << (MIX_BITS - 1), 1 << (LAB_SHIFT - 1)
    for y in range(H):
        for x in range(W):
            r, g, b = rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2]
            fx = np.int32(root[(light[0, 0, r] + light[0, 1, g] + light[0, 2, b] + half_light) >> MIX_BITS])
            fy = np.int32(root[(light[1, 0, r] + light[1, 1, g] + light[1, 2, b] + half_light) >> MIX_BITS])
            fz = np.int32(root[(light[2, 0, r] + light[2, 1, g] + light[2, 2, b] + half_light) >> MIX_BITS])
            lab[0, y, x] = (116 * fy - (16 << ROOT_BITS) + half) >> LAB_SHIFT
            lab[1, y, x] = (500 * (fx - fy) + half) >> LAB_SHIFT
            lab[2, y, x] = (200 * (fy - fz) + half) >> LAB_SHIFT
    return lab


@compiled()
def smooth(planes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Numba version of `lab.smooth`: filter planes (C, H, W), each row down the columns, then along itself."""
    C, H, W = planes.shape
    radius = len(weights) // 2
    smoothed = np.empty((C, H, W), np.int16)
    total = np.empty(W, np.int32)
    line = np.empty(W + 2 * radius, np.int32)  # a row that is smoothed down the columns, its ends repeated
    for c in range(C):
        for y in range(H):
            total[:] = 1 << (WEIGHT_BITS - 1)
            for shift in range(len(weights)):
                row, weight = planes[c, min(max(y + shift - radius, 0), H - 1)], weights[shift]
                for x in range(W):
                    total[x] += weight * row[x]
            for x in range(W):
                line[radius + x] = total[x] >> WEIGHT_BITS
            line[:radius] = line[radius]
            line[radius + W :] = line[radius + W - 1]
            total[:] = 1 << (WEIGHT_BITS - 1)
            for shift in range(len(weights)):
                part, weight = line[shift : shift + W], weights[shift]
                for x in range(W):
                    total[x] += weight * part[x]
            row = smoothed[c, y]
            for x in range(W):
                row[x] = total[x] >> WEIGHT_BITS
    return smoothed


@compiled()
def assign(
    lab: np.ndarray,
    centres: np.ndarray,
    spatial: np.ndarray,
    labels: np.ndarray,
    distance: np.ndarray,
    first: int,
    stride: int,
) -> None:
    """Numba version of `clusters.assign`: assign pixels of every `stride`-th row to the nearest centre, in place."""
    _, H, W = lab.shape
    reach = len(spatial) // 2
    for y in range(first, H, stride):
        distance[y] = FAR
    for s in range(len(centres)):
        number = np.int32(s)
        L, a, b, row, column = centres[s, 0], centres[s, 1], centres[s, 2], centres[s, 3], centres[s, 4]
        top, left, right = max(row - reach, 0), max(column - reach, 0), min(column + reach + 1, W)
        for y in range(top + (first - top) % stride, min(row + reach + 1, H), stride):
            near = spatial[y - row + reach, left - column + reach :]
            plane_L, plane_a, plane_b = lab[0, y, left:right], lab[1, y, left:right], lab[2, y, left:right]
            nearest, winner = distance[y, left:right], labels[y, left:right]
            for x in range(len(nearest)):
                dL, da, db = np.int32(plane_L[x]) - L, np.int32(plane_a[x]) - a, np.int32(plane_b[x]) - b
                found = np.int32(dL * dL + da * da + db * db + near[x])
                closer = found < nearest[x]
                nearest[x] = found if closer else nearest[x]  # always written, as a branch would not be vectorised
                winner[x] = number if closer else winner[x]


@compiled()
def add_up(lab: np.ndarray, labels: np.ndarray, count: int, first: int, stride: int) -> np.ndarray:
    """Numba version of `clusters.add_up`: sum colours and places of each cluster, one run of equal labels at a time."""
    _, H, W = lab.shape
    total = np.zeros((count, 6), np.int64)
    for y in range(first, H, stride):
        start = 0
        while start < W:
            s = labels[y, start]
            L = a = b = np.int64(0)
            x = start
            while x < W and labels[y, x] == s:
                L += lab[0, y, x]
                a += lab[1, y, x]
                b += lab[2, y, x]
                x += 1
            run = x - start
            total[s, 0] += L
            total[s, 1] += a
            total[s, 2] += b
            total[s, 3] += run * y
            total[s, 4] += run * (start + x - 1) // 2  # start + ... + (x - 1)
            total[s, 5] += run
            start = x
    return total
