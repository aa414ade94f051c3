"""Stacks of matrix products, each cut to the size at which BLAS is fastest.

On processors with AVX-512, OpenBLAS multiplies matrices without packing them first as long as M * N * K stays within
10^6. Products of SegNet's tiles then run up to half as fast again as whole ones, while their operands are in the cache.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tinysegrank.nn.fast.threads import blas_libraries

UNPACKED = 10**6


def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Out = a @ b for each matrix of a stack.

    a   | (S, M, K) | float32 |
    b   | (S, K, N) | float32 |
    out | (S, M, N) | float32 |
    """
    (S, M, K), N = a.shape, b.shape[2]
    rows = rows_at_once(M, K, N)
    whole = M // rows * rows
    pieces = (S, whole // rows, rows)
    np.matmul(a[:, :whole].reshape(*pieces, K), b[:, np.newaxis], out=out[:, :whole].reshape(*pieces, N))
    if whole < M:
        np.matmul(a[:, whole:], b, out=out[:, whole:])


def rows_at_once(M: int, K: int, N: int) -> int:
    """The rows of a (M, K) to multiply with b (K, N) at a time."""
    return min(M, max(4, UNPACKED // (K * N) // 4 * 4)) if _small_is_fast() else M


@lru_cache(maxsize=1)
def _small_is_fast() -> bool:
    known = ("SkylakeX", "Cooperlake", "SapphireRapids")
    return all(library.info().get("architecture") in known for library in blas_libraries())
