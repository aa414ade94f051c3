"""Label every pixel by the most probable class of its coarse cell, or of the cells that its superpixel overlaps."""

from __future__ import annotations

import numpy as np

from tinysegrank.backend import accelerated
from tinysegrank.errors import ShapeError
from tinysegrank.voc import tile_edges, tile_index


def naive(coarse: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Label all pixels of each coarse cell's tile with the cell's most probable class.

    Cell (r, c) is the uniform tile [r*H/h, (r+1)*H/h) x [c*W/w, (c+1)*W/w) with edges rounded to whole pixels,
    as for the soft targets, so the tiles partition the image. Of equally probable classes the first wins.

    coarse  | (h, w, K)  | floating | class probabilities, or any scores that are larger for more probable classes
    shape   | (H, W)     | int      | size of the image in pixels, at least h x w
    returns | (H, W)     | uint8    | class of each pixel

    Raises:
        ShapeError: coarse is not a finite floating (h, w, K) array with 1 to 256 classes.
        DatasetError: the image is smaller than the grid.

    Paper: Eq. 16, which equates a probability with an argmax; the argmax is meant.
    """
    coarse = np.asarray(coarse)
    _check_coarse(coarse)
    heights, widths = (
        np.diff(tile_edges(length, count)) for length, count in zip(shape, coarse.shape[:2], strict=True)
    )
    labels = coarse.argmax(axis=2).astype(np.uint8)  # Eq. 16
    return labels.repeat(widths, axis=1).repeat(heights, axis=0)  # (h, w) -> (h, W) -> (H, W)


def superpixel(coarse: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    """Label all pixels of each superpixel with the class that is most probable in its `superpixel_distributions`.

    coarse      | (h, w, K) | floating | class probabilities of each cell, finite; 1 to 256 classes
    superpixels | (H, W)    | integer  | 0 .. H*W-1; gaps in the numbers are fine
    returns     | (H, W)    | uint8    | class of each pixel; of equally probable classes the first

    On float32 input the Numba version `fast.superpixel` runs unless TINYSEGRANK_ACCELERATE=0. It adds the same float64
    products in another order, so a label can differ only where two classes' probabilities agree to 1e-12.

    Raises:
        ShapeError: an argument has another shape or dtype, or values out of range.
        DatasetError: the image is smaller than the grid.

    Paper: section 4, "Superpixel".
    """
    coarse, superpixels = np.asarray(coarse), np.asarray(superpixels)
    if coarse.dtype == np.float32 and accelerated():
        from tinysegrank.upsampling import fast  # compiled on first use

        _check_coarse(coarse)
        return fast.superpixel(coarse, superpixels, _count(superpixels))
    label = superpixel_distributions(coarse, superpixels).argmax(axis=1).astype(np.uint8)  # (S,)
    return label[superpixels]  # (H, W)


def superpixel_distributions(coarse: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    """Average the coarse cells' class distributions over each superpixel, weighted by its pixels in each cell.

    coarse      | (h, w, K) | floating | class probabilities of each cell, finite; 1 to 256 classes
    superpixels | (H, W)    | integer  | number of each pixel's superpixel, 0 .. H*W-1; gaps in the numbers are fine
    returns     | (S, K)    | float64  | S is the largest number plus one; 0 where a number does not occur

    Raises:
        ShapeError: an argument has another shape or dtype, or values out of range.
        DatasetError: the image is smaller than the grid.
    """
    coarse, superpixels = np.asarray(coarse), np.asarray(superpixels)
    _check_coarse(coarse)
    S = _count(superpixels)
    (H, W), (h, w, K) = superpixels.shape, coarse.shape
    cell = tile_index(H, h)[:, None] * w + tile_index(W, w)  # (H, W), 0 .. P-1
    P = h * w
    joint = superpixels.astype(np.int64) * P + cell  # (H, W)
    pixels = np.bincount(joint.ravel(), minlength=S * P).reshape(S, P)  # pixels of superpixel s in cell p
    size = pixels.sum(axis=1, keepdims=True)  # (S, 1)
    return pixels @ coarse.reshape(P, K).astype(np.float64) / np.maximum(size, 1)  # (S, K)


def _check_coarse(coarse: np.ndarray) -> None:
    """Raise ShapeError unless an array is (h, w, K), not empty, floating and finite, with at most 256 classes."""
    if coarse.ndim != 3 or 0 in coarse.shape or coarse.shape[2] > 256:
        raise ShapeError(
            f"coarse: expected (h, w, K) with 1 to 256 classes, got {coarse.shape}; pass one image of segnet.predict"
        )
    if not np.issubdtype(coarse.dtype, np.floating):
        raise ShapeError(f"coarse: expected floating class probabilities, got {coarse.dtype}; pass the distribution")
    if not np.isfinite(coarse).all():
        raise ShapeError("coarse: holds NaN or infinity; check the network's weights and input")


def _count(superpixels: np.ndarray) -> int:
    """Check that an array is a non-empty (H, W) map of integers 0 .. H*W-1; return the largest of them plus one."""
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
