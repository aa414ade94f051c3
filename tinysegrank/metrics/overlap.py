"""Overlap (IoU) of binary masks."""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ShapeError


def mask_overlaps(segments: np.ndarray, objects: np.ndarray, *, valid: np.ndarray | None = None) -> np.ndarray:
    """Return the intersection over union of each segment with each object, 0 if both are empty.

    segments | (R, H, W) | bool    |
    objects  | (O, H, W) | bool    |
    valid    | (H, W)    | bool    | pixels to count, in VOC those that are not void; all by default
    returns  | (R, O)    | float64 | 0..1

    Raises:
        ShapeError: the shapes do not fit, or an array is not of booleans.
    """
    for name, masks in (("segments", segments), ("objects", objects)):
        if masks.ndim != 3 or masks.dtype != bool or masks.shape[1:] != segments.shape[1:]:
            raise ShapeError(f"{name}: shape {masks.shape}, dtype {masks.dtype}; pass bool masks of one (H, W)")
    if valid is not None and (valid.shape != segments.shape[1:] or valid.dtype != bool):
        raise ShapeError(f"valid: shape {valid.shape}, dtype {valid.dtype}; pass bool of {segments.shape[1:]}")
    counted = np.ones(segments.shape[1:], bool) if valid is None else valid
    a, b = (masks[:, counted].astype(np.float64) for masks in (segments, objects))  # (R, pixels), (O, pixels)
    intersection = a @ b.T  # (R, O), exact
    union = a.sum(axis=1)[:, None] + b.sum(axis=1) - intersection
    return intersection / np.maximum(union, 1)
