"""Checks of arguments, shared by both upsamplers."""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ShapeError


def check_coarse(coarse: np.ndarray) -> None:
    """Check that an array is (h, w, K), floating and finite, with at least one cell and one class.

    Raises:
        ShapeError: another rank or dtype, an empty axis, more classes than uint8 labels can name, NaN or infinity.
    """
    if coarse.ndim != 3 or 0 in coarse.shape or coarse.shape[2] > 256:
        raise ShapeError(
            f"coarse: expected (h, w, K) with 1 to 256 classes, got {coarse.shape}; pass one image of segnet.predict"
        )
    if not np.issubdtype(coarse.dtype, np.floating):
        raise ShapeError(f"coarse: expected floating class probabilities, got {coarse.dtype}; pass the distribution")
    if not np.isfinite(coarse).all():
        raise ShapeError("coarse: holds NaN or infinity; check the network's weights and input")


def check_superpixels(superpixels: np.ndarray) -> int:
    """Check that an array is a non-empty (H, W) map of numbers 0 .. H*W-1; return the largest number plus one.

    Raises:
        ShapeError: another rank or dtype, an empty map, a number outside 0 .. H*W-1.
    """
    if superpixels.ndim != 2 or superpixels.size == 0:
        raise ShapeError(f"superpixels: expected a non-empty (H, W) map, got {superpixels.shape}")
    if not np.issubdtype(superpixels.dtype, np.integer):
        raise ShapeError(f"superpixels: expected integers, got {superpixels.dtype}; convert with astype(np.int32)")
    wide = superpixels if superpixels.dtype.itemsize >= 4 else superpixels.astype(np.int32)
    largest = int(wide.view(wide.dtype.str.replace("i", "u")).max())  # a negative number is a huge unsigned one
    if largest >= superpixels.size:
        raise ShapeError(
            f"superpixels: numbers must be in 0 .. {superpixels.size - 1}, got {superpixels.min()} .. "
            f"{superpixels.max()}; renumber them with np.unique(superpixels, return_inverse=True)"
        )
    return largest + 1
