"""Dense SIFT: around each grid point, 4 x 4 cells with a histogram of 8 gradient orientations each.

A gradient votes for its two nearest orientations and for the cells around it, by its distance from their centres. Its
vote for a cell is a product of two triangles, along rows and along columns, so all histograms at all grid points are
rows @ map @ columns^T with two sparse matrices, for any cell size and grid. Borders need no special case: gradients
beyond the image are 0. There is no Gaussian window over the cells.

Source: Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

ORIENTATIONS, CELLS = 8, 4
SIFT_LENGTH = CELLS * CELLS * ORIENTATIONS  # 128
CLIP = 0.2  # largest value in a unit descriptor, so that one strong edge does not outweigh the rest
GAIN = 512 / 255  # scales values to about 0..1, like common 8-bit descriptors divided by 255


def dense_sift(grey: np.ndarray, cells: Sequence[int], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Compute SIFT of square patches, 4 cells wide, centred at every row and column of a grid.

    grey    | (H, W)         | floating | 0..1
    cells   | n numbers      | int      | sides of a cell, pixels
    rows    | (h,)           | integer  | rows of the grid, 0..H-1
    columns | (w,)           | integer  | columns of the grid, 0..W-1
    returns | (n, h, w, 128) | float32  | 0..1; index = (cell row * 4 + cell column) * 8 + orientation; 0 if flat

    Orientation k is at 45 k degrees, measured from the direction of increasing columns towards increasing rows.
    """
    maps = orientation_maps(grey)  # (H, W, 8)
    H, W = grey.shape
    described = np.empty((len(cells), len(rows), len(columns), SIFT_LENGTH), np.float32)
    for n, cell in enumerate(cells):
        votes = _votes(rows, cell, H) @ maps.reshape(H, -1)  # (4 h, W 8)
        votes = votes.reshape(-1, W, ORIENTATIONS).swapaxes(0, 1).reshape(W, -1)  # (W, 4 h 8)
        votes = _votes(columns, cell, W) @ votes  # (4 w, 4 h 8)
        votes = votes.reshape(len(columns), CELLS, len(rows), CELLS, ORIENTATIONS).transpose(2, 0, 3, 1, 4)
        described[n] = votes.reshape(len(rows), len(columns), SIFT_LENGTH)  # (h, w, 128)
        _normalise(described[n])
    return described


def orientation_maps(grey: np.ndarray) -> np.ndarray:
    """Return each pixel's gradient magnitude, split between its two nearest orientations: (H, W, 8) float32."""
    padded = np.pad(grey.astype(np.float32), 1, mode="edge")
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2  # (H, W)
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    turn = np.arctan2(down, across) * np.float32(ORIENTATIONS / (2 * np.pi)) % ORIENTATIONS  # 0..8
    magnitude = np.hypot(across, down)
    maps = np.empty((*grey.shape, ORIENTATIONS), np.float32)
    for k in range(ORIENTATIONS):
        distance = np.abs(turn - k)
        maps[..., k] = magnitude * np.maximum(0, 1 - np.minimum(distance, ORIENTATIONS - distance))
    return maps


def _votes(centres: np.ndarray, cell: int, length: int) -> Any:
    """Return each pixel's weight in the four cells around each centre, along one axis: sparse (4 * centres, length)."""
    from scipy.sparse import csr_array

    middles = (centres[:, None] + (np.arange(CELLS) - (CELLS - 1) / 2) * cell).ravel()  # (4 centres,)
    pixels = np.ceil(middles - cell).astype(np.int64)[:, None] + np.arange(2 * cell)  # (4 centres, 2 cell), in reach
    weights = np.maximum(0, 1 - np.abs(pixels - middles[:, None]) / cell).astype(np.float32)
    there = (pixels >= 0) & (pixels < length) & (weights > 0)
    rows = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return csr_array((weights[there], pixels[there], rows), shape=(len(middles), length))


def _normalise(described: np.ndarray) -> None:
    """Scale descriptors to length 1, clip at CLIP, scale to length 1 again, multiply by GAIN, clip at 1; in place."""
    for largest in (CLIP, 1 / GAIN):
        length = np.sqrt(np.einsum("...d,...d->...", described, described))[..., None]
        described /= np.maximum(length, np.float32(1e-10))
        np.minimum(described, np.float32(largest), out=described)
    described *= np.float32(GAIN)
