"""Count pairs of numbers at the same pixel, such as true class and label, or tile and label."""

from __future__ import annotations

import numpy as np

from tinysegrank.backend import accelerated
from tinysegrank.voc.classes import VOID


def count_pairs(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """Count the pixels of each pair of numbers in tables of R x C, for several maps of columns.

    rows    | (P,)      | unsigned | 0..R-1, or 255, which is not counted
    columns | (M, P)    | uint8    | 0..C-1
    shape   | (R, C)    | int      |
    returns | (M, R, C) | int64    | pixels; and whether a number is out of range, whose pairs are not counted

    The Numba version `fast.count_pairs` runs unless TINYSEGRANK_ACCELERATE=0; the results are the same.
    """
    rows, columns = np.ascontiguousarray(rows), np.ascontiguousarray(columns)
    R, C = shape
    if accelerated():
        from tinysegrank.voc import fast  # numba loads slowly

        return fast.count_pairs(rows, columns, R, C)
    bins = 256 * rows.astype(np.int64)  # (P,), the row's first bin
    counts = [np.bincount(bins + one, minlength=256 * R)[: 256 * R].reshape(R, 256)[:, :C] for one in columns]
    strange = ((rows >= R) & (rows != VOID)).any() or (columns >= C).any()
    return np.array(counts, np.int64).reshape(-1, R, C), bool(strange)
