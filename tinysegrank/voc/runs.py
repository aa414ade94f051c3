"""Find the ends of runs of equal values, for Numba code that counts pixels one run at a time.

A branch per pixel is slow, as the processor mispredicts it wherever two objects meet. So the caller compares a row with
itself shifted by one pixel, which is vectorised and gives one byte per pixel, 1 where a run has ended. The few ones are
then listed here, eight bytes at a time.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled

ALL_PLACES = np.uint64(0x0001020304050607)


@compiled()
def list_ones(words: np.ndarray, places: np.ndarray) -> int:
    """Write the indices of the bytes that are 1 to the start of `places`, in order; return their number.

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
