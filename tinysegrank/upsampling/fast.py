"""Numba version of `coarse.superpixel`, on one thread.

Pixels are counted in runs: adjacent pixels of a row that are in one superpixel and one cell. `voc.fast` does so too.
The table of superpixels and cells is mostly zeros, so only the counts for one row of cells are held, with a list of
those above 0.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.voc import tile_edges
from tinysegrank.voc.fast import list_ones


def superpixel(coarse: np.ndarray, superpixels: np.ndarray, S: int) -> np.ndarray:
    """Numba version of `coarse.superpixel`, without its checks: label pixels by their superpixel's best class.

    S is the largest number of a superpixel plus one.
    """
    (H, W), (h, w, _) = superpixels.shape, coarse.shape
    native = np.ascontiguousarray(superpixels, superpixels.dtype.newbyteorder("="))
    unsigned = native.view(f"u{native.itemsize}")  # avoids Numba's check for negative indices
    ended = np.zeros((W // 8 + 1) * 8, np.uint8)  # 1 where a run of one superpixel within one cell has ended
    words = ended.view(np.uint64)
    total = _add_up(coarse.astype(np.float64), unsigned, tile_edges(H, h), tile_edges(W, w), S, ended, words)
    return _label(total, unsigned)


@compiled()
def _label(total: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    """Label every pixel with the class of largest `total`, (S, K), in its superpixel: (H, W) uint8."""
    label = np.zeros(len(total), np.uint8)
    for s in range(len(total)):
        for k in range(1, total.shape[1]):
            if total[s, k] > total[s, label[s]]:
                label[s] = k

    H, W = superpixels.shape
    labels = np.empty((H, W), np.uint8)
    for y in range(H):
        for x in range(W):
            labels[y, x] = label[superpixels[y, x]]
    return labels


@compiled()
def _add_up(
    coarse: np.ndarray,
    superpixels: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    S: int,
    ended: np.ndarray,
    words: np.ndarray,
) -> np.ndarray:
    """Sum, for each superpixel, the class distributions of its pixels' cells: (S, K).

    `rows` and `columns` are the edges of the cells, as from `tile_edges`. `ended` and `words` are two views of one
    buffer of zeros, which marks the pixels before which a run ends.
    """
    h, w, K = coarse.shape
    W = superpixels.shape[1]
    total = np.zeros((S, K))
    pixels = np.zeros((w, S), np.int64)  # number of pixels of each superpixel in each cell of the current row of cells
    met = np.empty((w * S, 2), np.int64)  # where `pixels` is not 0
    cell = np.empty(W, np.int64)
    for c in range(w):
        cell[columns[c] : columns[c + 1]] = c
    ends = np.empty(len(ended), np.int64)
    for r in range(h):
        count = 0
        for y in range(rows[r], rows[r + 1]):
            row = superpixels[y]
            before, after, changed = row[:-1], row[1:], ended[1:]
            for x in range(len(after)):
                changed[x] = before[x] != after[x]
            for c in range(w):
                ended[columns[c + 1]] = 1
            start = 0
            for end in ends[: list_ones(words, ends)]:
                c, s = cell[start], row[start]
                if pixels[c, s] == 0:
                    met[count, 0], met[count, 1] = c, s
                    count += 1
                pixels[c, s] += end - start
                start = end
        for m in range(count):
            c, s = met[m, 0], met[m, 1]
            for k in range(K):
                total[s, k] += pixels[c, s] * coarse[r, c, k]
            pixels[c, s] = 0
    return total
