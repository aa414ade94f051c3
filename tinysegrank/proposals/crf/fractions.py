"""The true distribution of the classes over each superpixel: what the superpixel classifier learns from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError
from tinysegrank.voc import VOID, check_labels


def label_fractions(
    labels: NDArray[np.integer], superpixels: NDArray[np.integer], *, num_classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Compute the distribution of the true classes in each superpixel, and its number of non-void pixels.

    labels      | (H, W) | integer | 0..K-1, or 255 where void
    superpixels | (H, W) | integer | 0..S-1
    fractions   | (S, K) | float32 | rows sum to 1, or to 0 where all is void
    weights     | (S,)   | int64   | pixels that are not void

    Raises:
        ShapeError: the arrays differ in size.
        DatasetError: a label is neither a class nor void.
    """
    if labels.shape != superpixels.shape:
        raise ShapeError(f"labels {labels.shape} and superpixels {superpixels.shape} must have the same size")
    count = int(superpixels.max()) + 1
    labels = check_labels(labels, num_classes=num_classes)
    known = labels != VOID
    joint = superpixels[known].astype(np.int64) * num_classes + labels[known]
    pixels = np.bincount(joint, minlength=count * num_classes).reshape(count, num_classes)
    weights = pixels.sum(axis=1)
    return (pixels / np.maximum(weights, 1)[:, None]).astype(np.float32), weights
