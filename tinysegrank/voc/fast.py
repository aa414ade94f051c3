"""Numba version of `targets.tile_counts`, on one thread; the results are exactly the same."""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.voc.runs import list_ones


@compiled()
def tile_counts(labels: np.ndarray, row_edges: np.ndarray, column_edges: np.ndarray, num_classes: int) -> np.ndarray:
    """Numba version of `targets.tile_counts`, given the `tile_edges` of both sides."""
    M, _, W = labels.shape
    rows, columns = row_edges.size - 1, column_edges.size - 1
    counts = np.zeros((M, rows, columns, num_classes), np.int64)
    tile = np.empty(W, np.int64)
    for c in range(columns):
        tile[column_edges[c] : column_edges[c + 1]] = c
    ended = np.zeros((W // 8 + 1) * 8, np.uint8)  # 1 where a run of one label within one tile has ended
    ends = np.empty(len(ended), np.int64)
    for m in range(M):
        for r in range(rows):
            for y in range(row_edges[r], row_edges[r + 1]):
                row = labels[m, y]
                before, after, changed = row[:-1], row[1:], ended[1:]
                for x in range(len(after)):
                    changed[x] = before[x] != after[x]
                for c in range(columns):
                    ended[column_edges[c + 1]] = 1
                start = 0
                for end in ends[: list_ones(ended, ends)]:
                    label = row[start]
                    if label < num_classes:
                        counts[m, r, tile[start], label] += end - start
                    start = end
    return counts
