"""How well superpixels follow the borders of objects, by a label map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tinysegrank.errors import ShapeError
from tinysegrank.voc import NUM_CLASSES, VOID


def boundary_recall(superpixels: NDArray[np.integer], truth: NDArray[np.uint8], *, tolerance: int = 2) -> float:
    """Return the share of the truth's borders that a superpixel's border lies near; 1 is best.

    superpixels | (H, W) | integer | 0..S-1
    truth       | (H, W) | uint8   | 0..20 and 255; void counts as the class nearest to it
    returns     |        | float   | 0..1; NaN where the truth has no border

    Args:
        superpixels: see `slic`.
        truth: a label map with a pixel at least that is not void.
        tolerance: how many pixels apart, along either axis, is near.

    Raises:
        ShapeError: the two differ in shape.
    """
    _need_same_shape(superpixels, truth)
    nearest = ndimage.distance_transform_edt(truth == VOID, return_distances=False, return_indices=True)
    border = _borders(truth[tuple(nearest)])
    near = ndimage.maximum_filter(_borders(superpixels), size=2 * tolerance + 1)
    return float(near[border].mean()) if border.any() else float("nan")


def undersegmentation_error(superpixels: NDArray[np.integer], truth: NDArray[np.uint8]) -> float:
    """Return how much superpixels leak over the borders of classes; 0 is best.

    Of each class and superpixel that meet, the smaller of what is inside and what is outside the class, over all, as a
    share of the pixels that are not void. Shapes and errors as for `boundary_recall`.

    Source: Neubert and Protzel, "Superpixel benchmark and comparison", Forum Bildverarbeitung 2012.
    """
    inside = _joint_counts(superpixels, truth)
    outside = inside.sum(axis=1, keepdims=True) - inside
    return float(np.minimum(inside, outside).sum() / inside.sum())


def best_labels(superpixels: NDArray[np.integer], truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give every superpixel the class that most of its pixels have: no labelling of superpixels is nearer the truth.

    Shapes and errors as for `boundary_recall`; returns (H, W) uint8.
    """
    best = _joint_counts(superpixels, truth).argmax(axis=1).astype(np.uint8)
    return np.asarray(best[superpixels])


def _joint_counts(superpixels: NDArray[np.integer], truth: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of each superpixel and class, (S, K), void left out."""
    _need_same_shape(superpixels, truth)
    known, count = truth != VOID, int(superpixels.max()) + 1
    joint = superpixels[known].astype(np.int64) * NUM_CLASSES + truth[known]
    return np.bincount(joint, minlength=count * NUM_CLASSES).reshape(count, NUM_CLASSES)


def _borders(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels that differ from the one to their right or below."""
    found = np.zeros(labels.shape, bool)
    found[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    found[:-1] |= labels[:-1] != labels[1:]
    return found


def _need_same_shape(superpixels: NDArray[np.integer], truth: NDArray[np.uint8]) -> None:
    if superpixels.shape != truth.shape:
        raise ShapeError(f"superpixels {superpixels.shape} and truth {truth.shape} must have one shape")
