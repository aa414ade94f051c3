"""The numba twin of `superpixel.superpixel`, on one thread; that function is its specification.

The pixels of a cell are read as runs of one superpixel and counted in one number per superpixel; a superpixel that was
met in the cell then gets its count times the cell's distribution. The joint (superpixel, cell) table of the readable
version, 169 numbers a superpixel and mostly zeros, never exists.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tinysegrank.upsampling.checks import check_coarse, check_superpixels
from tinysegrank.voc import tile_edges


def superpixel(coarse: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    """Do as `tinysegrank.upsampling.superpixel`; labels differ only where two probabilities agree to 1e-12.

    coarse      | (h, w, K) | floating | class probabilities of each cell, finite
    superpixels | (H, W)    | integer  | number of each pixel's superpixel, 0 .. H*W-1
    returns     | (H, W)    | uint8    | class of each pixel

    Raises:
        ShapeError: an argument is not as above.
        DatasetError: the image is smaller than the grid.

    Paper: section 4, "Superpixel".
    """
    check_coarse(coarse)
    S = check_superpixels(superpixels)
    (H, W), (h, w, _) = superpixels.shape, coarse.shape
    native = np.ascontiguousarray(superpixels, superpixels.dtype.newbyteorder("="))
    unsigned = native.view(f"u{native.itemsize}")  # spares numba the test for negative indices
    labels: np.ndarray = _label_tiles(coarse.astype(np.float64), unsigned, tile_edges(H, h), tile_edges(W, w), S)
    return labels


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _label_tiles(
    coarse: np.ndarray, superpixels: np.ndarray, rows: np.ndarray, columns: np.ndarray, S: int
) -> np.ndarray:
    h, w, K = coarse.shape
    H, W = superpixels.shape
    total = np.zeros((S, K))
    pixels = np.zeros(S, np.int64)  # of each superpixel in the present cell; all 0 between cells
    met = np.empty(S, np.int64)  # the superpixels of the present cell
    for r in range(h):
        for c in range(w):
            count = 0
            for y in range(rows[r], rows[r + 1]):
                last, run = superpixels[y, columns[c]], 0
                for x in range(columns[c], columns[c + 1]):
                    s = superpixels[y, x]
                    if s != last:
                        if pixels[last] == 0:
                            met[count] = last
                            count += 1
                        pixels[last] += run
                        last, run = s, 0
                    run += 1
                if pixels[last] == 0:
                    met[count] = last
                    count += 1
                pixels[last] += run
            for s in met[:count]:
                for k in range(K):
                    total[s, k] += pixels[s] * coarse[r, c, k]
                pixels[s] = 0

    label = np.empty(S, np.uint8)
    for s in range(S):
        best = 0
        for k in range(1, K):
            if total[s, k] > total[s, best]:
                best = k
        label[s] = best

    labels = np.empty((H, W), np.uint8)
    for y in range(H):
        for x in range(W):
            labels[y, x] = label[superpixels[y, x]]
    return labels
