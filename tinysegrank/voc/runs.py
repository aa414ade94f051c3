"""Where runs of equal values end, for numba twins that count pixels a run at a time.

A branch for each pixel is slow: a processor guesses it, and is wrong wherever two objects meet. So a twin compares a
row with itself one pixel further on, which is done for many pixels at once and gives a byte for each, 1 where a run has
ended; and the few ones are picked out here, eight bytes at a time.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled

ALL_PLACES = np.uint64(0x0001020304050607)


@compiled()
def list_ones(marks: np.ndarray, places: np.ndarray) -> int:
    """Write the places of the ones, in order, and return how many there are.

    marks  | (8 n,) | uint8 | 0 or 1
    places | (8 n,) | int64 | overwritten
    """
    words = marks.view(np.uint64)
    count = 0
    for i in range(len(words)):
        word = words[i]
        while word:
            lowest = word & (~word + np.uint64(1))  # 256**k if the first one is k bytes into the word
            places[count] = 8 * i + np.int64((lowest * ALL_PLACES) >> np.uint64(56))  # the highest byte is now k
            count += 1
            word ^= lowest
    return count
