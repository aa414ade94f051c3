"""Enlarge a label map to the size of its photograph, with smooth borders."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tinysegrank.errors import ShapeError


def enlarge(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Enlarge a label map: each pixel takes the label with the largest share of its bilinear weights.

    At the centre of a pixel of the small map, this is that pixel's own label; borders are straight where repeating
    pixels would give steps. Shares are rounded to 1/255; of labels with equal shares the smallest wins.

    labels  | (h, w) | uint8 |
    shape   | (H, W) | int   | at least (h, w)
    returns | (H, W) | uint8 | `labels` itself if it has this shape

    Raises:
        ShapeError: the labels are not (h, w) or empty, or the shape is smaller.
    """
    if labels.ndim != 2 or not labels.size or shape[0] < labels.shape[0] or shape[1] < labels.shape[1]:
        raise ShapeError(f"labels, shape: {labels.shape}, {tuple(shape)}; give labels (h, w) and at least their size")
    if labels.shape == tuple(shape):
        return labels
    used = np.unique(labels)
    enlarged, largest = np.full(shape, used[0], np.uint8), _share(labels, used[0], shape)
    for label in used[1:]:
        share = _share(labels, label, shape)
        enlarged[share > largest] = label
        np.maximum(largest, share, out=largest)
    return enlarged


def _share(labels: np.ndarray, label: np.uint8, shape: tuple[int, int]) -> np.ndarray:
    """Return a label's share of the bilinear weights of each pixel: (H, W) uint8, 255 where it has all of them."""
    mask = Image.fromarray(np.where(labels == label, 255, 0).astype(np.uint8))
    return np.array(mask.resize(shape[::-1], Image.Resampling.BILINEAR))
