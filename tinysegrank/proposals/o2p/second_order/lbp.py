"""Dense local binary patterns: around each grid point, how often each uniform pattern occurs.

A pixel's pattern has one bit for each of its 8 neighbours, set where the neighbour is brighter. The pattern is uniform
if the bits change at most twice around the ring: an edge, a line end, a spot, or flat. There are 58 such patterns.

Source: Ojala, Pietikainen and Maenpaa, "Multiresolution gray-scale and rotation invariant texture classification with
local binary patterns", PAMI 2002.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinysegrank.backend import accelerated

LBP_LENGTH = 58
RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))  # row, column of bit 0, 1, ...


def dense_lbp(grey: np.ndarray, cells: Sequence[int], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Describe the texture around every point of a grid by the share of each uniform pattern in a window.

    grey    | (H, W)        | floating |
    cells   | n numbers     | int      | radii: weights fall linearly to 0 at this distance in rows and in columns
    rows    | (h,)          | integer  | rows of the grid, 0..H-1
    columns | (w,)          | integer  | columns of the grid, 0..W-1
    returns | (n, h, w, 58) | float32  | square root of each pattern's share

    Patterns that are not uniform count in the window but have no column, so the squares sum to 1 at most.
    """
    codes = uniform_codes(grey)
    if not accelerated():
        return np.sqrt(np.stack([code_shares(codes, cell, rows, columns)[..., :LBP_LENGTH] for cell in cells]))
    from tinysegrank.proposals.o2p.second_order.fast_lbp import count_codes  # numba takes long to import

    shares = np.zeros((len(cells), len(rows), len(columns), LBP_LENGTH + 1), np.float32)
    for n, cell in enumerate(cells):
        count_codes(codes, int(cell), np.asarray(rows, np.int64), np.asarray(columns, np.int64), shares[n])
    return np.sqrt(shares[..., :LBP_LENGTH])


def code_shares(codes: np.ndarray, cell: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the share of each code in the weighted window of radius `cell` around each grid point: (h, w, 59) float32.

    The Numba version agrees to 1e-6.
    """
    down, across = (
        np.maximum(0.0, 1 - np.abs(np.arange(length) - np.asarray(places)[:, None]) / cell)  # (h, H), (w, W)
        for length, places in zip(codes.shape, (rows, columns), strict=True)
    )
    of_code = codes[..., None] == np.arange(LBP_LENGTH + 1)  # (H, W, 59)
    in_rows = np.tensordot(down, of_code, axes=1)  # (h, W, 59)
    totals = np.tensordot(across, in_rows, axes=(1, 1)).transpose(1, 0, 2)  # (h, w, 59)
    window = down.sum(axis=1)[:, None, None] * across.sum(axis=1)[None, :, None]
    return np.asarray(totals / window, np.float32)


def uniform_codes(grey: np.ndarray) -> np.ndarray:
    """Number each pixel's pattern, 0..57, or 58 if it is not uniform: (H, W) uint8. The border is repeated outwards."""
    H, W = grey.shape
    padded = np.pad(grey, 1, mode="edge")
    code = np.zeros((H, W), np.uint8)
    for bit, (r, c) in enumerate(RING):
        code |= (padded[1 + r : 1 + r + H, 1 + c : 1 + c + W] > grey).astype(np.uint8) << np.uint8(bit)
    bits = np.arange(256)[:, None] >> np.arange(8) & 1  # (256, 8)
    uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2  # (256,)
    number = np.where(uniform, np.cumsum(uniform) - 1, LBP_LENGTH).astype(np.uint8)  # in the order of the codes
    return number[code]
