"""The numba twin of `targets.tile_counts`, on one thread; that function is its specification, they agree exactly."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def tile_counts(labels: np.ndarray, row_edges: np.ndarray, column_edges: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels of each class in each tile of each label map.

    labels       | (M, H, W)       | uint8 | values from `num_classes` on are not counted
    row_edges    | (GH + 1,)       | int64 | pixels
    column_edges | (GW + 1,)       | int64 | pixels
    returns      | (M, GH, GW, K)  | int64 | pixels
    """
    rows, columns = row_edges.size - 1, column_edges.size - 1
    counts = np.zeros((labels.shape[0], rows, columns, num_classes), np.int64)
    for m in range(labels.shape[0]):
        for r in range(rows):
            for y in range(row_edges[r], row_edges[r + 1]):
                for c in range(columns):
                    start, end = column_edges[c], column_edges[c + 1]
                    label = labels[m, y, start]
                    for x in range(start, end):  # neighbours mostly agree: add a run at a time
                        if labels[m, y, x] != label:
                            if label < num_classes:
                                counts[m, r, c, label] += x - start
                            label = labels[m, y, x]
                            start = x
                    if label < num_classes:
                        counts[m, r, c, label] += end - start
    return counts
