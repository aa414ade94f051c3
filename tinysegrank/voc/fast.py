"""Numba version of `labels.count_pairs`, on one thread; the results are exactly the same.

Pixels are counted one run of equal values at a time. A branch per pixel is slow, as the processor mispredicts it
wherever two objects meet. So a row is compared with itself shifted by one pixel, which is vectorised and gives one byte
per pixel, 1 where a run has ended; `list_ones` then lists the few ones, eight bytes at a time.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.voc.classes import VOID

ALL_PLACES = np.uint64(0x0001020304050607)
CHUNK = 4096  # pixels at a time, which stay in the L1 cache for all maps of columns


def count_pairs(rows: np.ndarray, columns: np.ndarray, R: int, C: int) -> tuple[np.ndarray, bool]:
    """Numba version of `labels.count_pairs`, whose `shape` is (R, C)."""
    counts = np.zeros((len(columns), R, C), np.int64)
    ended = np.zeros(CHUNK + 8, np.uint8)  # 1 where a run of one pair has ended
    return counts, _count(rows, columns, counts, ended, ended.view(np.uint64))


@compiled()
def _count(
    rows: np.ndarray, columns: np.ndarray, counts: np.ndarray, ended: np.ndarray, ended_words: np.ndarray
) -> bool:
    """Add the number of pixels with each row and column to `counts`, (M, R, C), and none where a row is VOID.

    Return whether another number is out of range.

    `ended` and `ended_words`, a view of it, are overwritten.
    """
    (M, P), (_, R, C), strange = columns.shape, counts.shape, False
    other_row = np.empty(CHUNK, np.uint8)  # 1 where the row differs from that of the next pixel
    ends = np.empty(len(ended), np.int64)
    for first in range(0, P, CHUNK):
        row = rows[first : first + CHUNK]
        row_before, row_after = row[:-1], row[1:]
        for p in range(len(row_after)):
            other_row[p] = row_before[p] != row_after[p]
        for m in range(M):
            column = columns[m, first : first + CHUNK]
            before, after, changed = column[:-1], column[1:], ended[1:]
            for p in range(len(after)):
                changed[p] = other_row[p] | (before[p] != after[p])
            ended[len(row)] = 1
            ended[len(row) + 1 :] = 0
            start = 0
            for end in ends[: list_ones(ended_words, ends)]:
                r, c = row[start], column[start]
                if r < R and c < C:
                    counts[m, r, c] += end - start
                elif r != VOID or c >= C:
                    strange = True
                start = end
    return strange


@compiled()
def list_ones(words: np.ndarray, places: np.ndarray) -> int:
    """Write the indices of bytes that are 1 into `places`, ascending from its start; return their number.

    words  | (n,)   | uint64 | a view of bytes 0 or 1
    places | (8 n,) | int64  | overwritten
    """
    count = 0
    for i in range(len(words)):
        word = words[i]
        while word:
            lowest = word & (~word + np.uint64(1))  # 256**k if the first one is k bytes into the word
            places[count] = 8 * i + np.int64((lowest * ALL_PLACES) >> np.uint64(56))  # the highest byte is now k
            count += 1
            word ^= lowest
    return count
