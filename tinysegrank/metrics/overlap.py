"""Overlap (IoU) of binary masks, counted exactly on packed bits."""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ShapeError


def overlap(mask_a: np.ndarray, mask_b: np.ndarray, *, valid: np.ndarray | None = None) -> float:
    """Return the intersection over union of two masks, 0 if both are empty.

    mask_a, mask_b | (H, W) | bool |
    valid          | (H, W) | bool | pixels to count, in VOC those that are not void; all by default

    Raises:
        ShapeError: the shapes differ, or an array is not of booleans.
    """
    return float(mask_overlaps(np.asarray(mask_a)[None], np.asarray(mask_b)[None], valid=valid)[0, 0])


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
    counted = None if valid is None else _pack(valid[None])[0]
    a, b = (_pack(masks) if counted is None else _pack(masks) & counted for masks in (segments, objects))
    intersection = np.empty((len(a), len(b)))
    for column, words in enumerate(b):
        intersection[:, column] = _count(a & words)
    union = _count(a)[:, None] + _count(b)[None, :] - intersection
    return intersection / np.maximum(union, 1)


def _pack(masks: np.ndarray) -> np.ndarray:
    """Pack masks (R, H, W) bool into (R, words) uint64, one bit per pixel, the last word padded with zeros."""
    R, H, W = masks.shape
    packed = np.packbits(masks.reshape(R, H * W), axis=1)  # (R, bytes)
    padded = np.zeros((R, -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def _count(words: np.ndarray) -> np.ndarray:
    return np.bitwise_count(words).sum(axis=-1, dtype=np.int64)
