"""Numba version of `confusion.count_pairs`, on one thread; the results are exactly the same."""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.voc.classes import VOID
from tinysegrank.voc.runs import list_ones

CHUNK = 4096  # pixels at a time, which stay in the L1 cache for all proposals


@compiled()
def count_pairs(
    truth: np.ndarray, proposals: np.ndarray, num_classes: int, strange: np.ndarray | None = None
) -> np.ndarray:
    """Numba version of `confusion.count_pairs`.

    strange | (1,) | bool | if given, values may be out of range: it is set to True, and their pairs are not counted
    """
    M, P = proposals.shape
    counts = np.zeros((M, num_classes, num_classes), np.int64)
    ended = np.zeros(CHUNK + 8, np.uint8)  # 1 where a run of one pair has ended
    ends = np.empty(len(ended), np.int64)
    for first in range(0, P, CHUNK):
        true = truth[first : first + CHUNK]
        for m in range(M):
            labels = proposals[m, first : first + CHUNK]
            true_before, true_after, before, after = true[:-1], true[1:], labels[:-1], labels[1:]
            changed = ended[1:]
            for p in range(len(after)):
                changed[p] = (true_before[p] != true_after[p]) | (before[p] != after[p])
            ended[len(true)] = 1
            ended[len(true) + 1 :] = 0
            start = 0
            for end in ends[: list_ones(ended, ends)]:
                row, column = true[start], labels[start]
                if row < num_classes and column < num_classes:
                    counts[m, row, column] += end - start
                elif strange is not None and (row != VOID or column >= num_classes):
                    strange[0] = True
                start = end
    return counts
