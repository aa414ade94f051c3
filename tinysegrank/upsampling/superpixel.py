"""Superpixel upsampling: every superpixel takes the most probable class of the coarse cells it overlaps."""

from __future__ import annotations

import numpy as np

from tinysegrank.backend import accelerated
from tinysegrank.upsampling.checks import check_coarse, check_superpixels
from tinysegrank.voc import tile_index


def superpixel(coarse: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    """Label all pixels of each superpixel with its most probable class.

    A superpixel's distribution is the mean of the coarse cells' distributions, each weighted by the fraction of the
    superpixel's pixels in the cell. Of equally probable classes the first wins.

    On float32 input the Numba version `fast.superpixel` runs unless TINYSEGRANK_ACCELERATE=0. It adds the same float64
    products in another order, so a label can differ only where two classes' probabilities agree to 1e-12.

    coarse      | (h, w, K) | floating | class probabilities of each cell, finite
    superpixels | (H, W)    | integer  | number of each pixel's superpixel, 0 .. H*W-1; gaps in the numbers are fine
    returns     | (H, W)    | uint8    | class of each pixel

    Raises:
        ShapeError: an argument has another shape or dtype, or values out of range.
        DatasetError: the image is smaller than the grid.

    Paper: section 4, "Superpixel".
    """
    coarse, superpixels = np.asarray(coarse), np.asarray(superpixels)
    if coarse.dtype == np.float32 and accelerated():
        from tinysegrank.upsampling import fast  # compiled on first use

        return fast.superpixel(coarse, superpixels)
    label = superpixel_distributions(coarse, superpixels).argmax(axis=1).astype(np.uint8)  # (S,)
    return label[superpixels]  # (H, W)


def superpixel_distributions(coarse: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    """Average the coarse cells' class distributions over each superpixel.

    coarse      | (h, w, K) | floating | class probabilities of each cell, finite
    superpixels | (H, W)    | integer  | number of each pixel's superpixel, 0 .. H*W-1
    returns     | (S, K)    | float64  | distribution of each superpixel, S the largest number plus one; 0 where a
                                         number does not occur

    Raises:
        ShapeError: an argument has another shape or dtype, or values out of range.
        DatasetError: the image is smaller than the grid.

    Paper: section 4, "Superpixel".
    """
    coarse, superpixels = np.asarray(coarse), np.asarray(superpixels)
    check_coarse(coarse)
    S = check_superpixels(superpixels)
    (H, W), (h, w, K) = superpixels.shape, coarse.shape
    cell = tile_index(H, h)[:, None] * w + tile_index(W, w)  # (H, W), 0 .. P-1
    P = h * w
    joint = superpixels.astype(np.int64) * P + cell  # (H, W)
    pixels = np.bincount(joint.ravel(), minlength=S * P).reshape(S, P)  # pixels of superpixel s in cell p
    size = pixels.sum(axis=1, keepdims=True)  # (S, 1)
    return pixels @ coarse.reshape(P, K).astype(np.float64) / np.maximum(size, 1)  # (S, K)
