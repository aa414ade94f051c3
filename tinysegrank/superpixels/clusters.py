"""The two steps of SLIC's k-means: assign each pixel to the nearest centre, move each centre to its pixels' mean."""

from __future__ import annotations

import numpy as np

FAR = np.iinfo(np.int32).max


def assign(
    lab: np.ndarray,
    centres: np.ndarray,
    spatial: np.ndarray,
    labels: np.ndarray,
    distance: np.ndarray,
    first: int,
    stride: int,
) -> None:
    """Assign the pixels of every `stride`-th row to the nearest centre whose window contains them, in place.

    A centre's window reaches R pixels to each side. Of equally near centres the first wins; a pixel in no window keeps
    its label.

    lab      | (3, H, W)          | int16 | L, a, b, from `lab.lab_units`
    centres  | (S, 5)             | int32 | L, a, b, row, column
    spatial  | (2 R + 1, 2 R + 1) | int32 | squared distance in space for each offset from a centre, see `spatial_table`
    labels   | (H, W)             | int32 | 0..S-1; the rows first, first + stride, ... are written
    distance | (H, W)             | int32 | buffer for squared distances; overwritten in the same rows
    """
    reach = len(spatial) // 2
    distance[first::stride] = FAR
    for number, (L, a, b, row, column) in enumerate(centres.tolist()):
        top, left = max(row - reach, 0), max(column - reach, 0)
        top += (first - top) % stride  # the first row to write
        window = np.s_[top : row + reach + 1 : stride, left : column + reach + 1]
        nearest, winner = distance[window], labels[window]  # views, (h, w)
        near = spatial[top - row + reach :: stride, left - column + reach :][: nearest.shape[0], : nearest.shape[1]]
        colour = lab[(slice(None), *window)] - np.array([L, a, b], np.int32)[:, None, None]  # (3, h, w)
        found = np.square(colour).sum(axis=0, dtype=np.int32) + near
        closer = found < nearest
        nearest[closer] = found[closer]
        winner[closer] = number


def add_up(lab: np.ndarray, labels: np.ndarray, count: int, first: int, stride: int) -> np.ndarray:
    """Sum the colours and places of each cluster's pixels in every `stride`-th row, and count these pixels.

    lab     | (3, H, W)  | int16 | L, a, b
    labels  | (H, W)     | int32 | 0..count-1; the rows first, first + stride, ... are read
    returns | (count, 6) | int64 | sums of L, a, b, row and column; number of pixels
    """
    chosen = labels[first::stride]
    rows, columns = np.indices(chosen.shape)
    values = [*lab[:, first::stride], first + stride * rows, columns, np.ones_like(chosen)]
    sums = [np.bincount(chosen.ravel(), value.ravel(), count) for value in values]  # float64 sums of integers are exact
    return np.stack(sums, axis=1).astype(np.int64)


def move_centres(total: np.ndarray, centres: np.ndarray) -> None:
    """Move each centre to the rounded mean of its pixels, in place; one without pixels stays.

    total   | (S, 6) | int64 | from `add_up`
    centres | (S, 5) | int32 | L, a, b, row, column
    """
    kept = total[:, 5] > 0
    sums, size = total[kept, :5], total[kept, 5:]
    centres[kept] = (2 * sums + size) // (2 * size)
