"""Numba version of `lbp.code_shares`, equal to 1e-6."""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled


@compiled()
def count_codes(codes: np.ndarray, cell: int, rows: np.ndarray, columns: np.ndarray, shares: np.ndarray) -> None:
    """Write to `shares`, (h, w, 59) zeros, the share of each code in the weighted window around each grid point."""
    H, W = codes.shape
    for i in range(len(rows)):
        for j in range(len(columns)):
            share = shares[i, j]
            total = 0.0
            for r in range(max(0, rows[i] - cell + 1), min(H, rows[i] + cell)):
                for c in range(max(0, columns[j] - cell + 1), min(W, columns[j] + cell)):
                    weight = (cell - abs(r - rows[i])) * (cell - abs(c - columns[j]))
                    share[codes[r, c]] += weight
                    total += weight
            for k in range(len(share)):
                share[k] /= total
