"""The numba twin of `confusion.count_pairs`, on one thread; that function is its specification, they agree exactly."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_pairs(truth: np.ndarray, proposals: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pairs of true class and label; values are known to be in range.

    truth     | (P,)      | uint8 | 0..K-1, or from K on where void
    proposals | (M, P)    | uint8 | 0..K-1
    returns   | (M, K, K) | int64 | pixels
    """
    counts = np.zeros((proposals.shape[0], num_classes, num_classes), np.int64)
    for m in range(proposals.shape[0]):
        start = 0
        for p in range(1, truth.size + 1):  # neighbours mostly agree: add a run at a time
            if p == truth.size or truth[p] != truth[start] or proposals[m, p] != proposals[m, start]:
                if truth[start] < num_classes:
                    counts[m, truth[start], proposals[m, start]] += p - start
                start = p
    return counts
