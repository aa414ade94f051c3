"""IoU of a single image, by which an image's oracle proposal is picked."""

from __future__ import annotations

import numpy as np

from tinysegrank.metrics.confusion import image_confusions, iou_of_confusion
from tinysegrank.voc.classes import NUM_CLASSES


def image_iou(truth: np.ndarray, labels: np.ndarray, *, num_classes: int = NUM_CLASSES) -> float:
    """Return `image_ious` of one labelling (H, W), as a number."""
    return float(image_ious(truth, np.asarray(labels)[None], num_classes=num_classes)[0])


def image_ious(truth: np.ndarray, proposals: np.ndarray, *, num_classes: int = NUM_CLASSES) -> np.ndarray:
    """Return the mean IoU over the classes in an image's truth or labels, for several labellings of the image.

    Background counts like any class; void pixels are left out.

    truth     | (H, W)    | integer | 0..K-1, or 255 where void
    proposals | (M, H, W) | integer | 0..K-1
    returns   | (M,)      | float64 | 0..1, NaN where the whole image is void

    Raises:
        ShapeError, DatasetError: see `image_confusions`.

    Source: voc_test_models.m of the DivMBest release, by its rule.
    """
    return mean_of_present(image_confusions(truth, proposals, num_classes=num_classes))


def mean_of_present(matrix: np.ndarray) -> np.ndarray:
    """Return the mean IoU over the classes in the truth or the labels of each confusion matrix.

    matrix  | (..., K, K) | integer | pixels; row: true class, column: label
    returns | (...)       | float64 | 0..1, NaN for a matrix of zeros
    """
    iou = iou_of_confusion(matrix)
    present = ~np.isnan(iou)
    mean = np.full(iou.shape[:-1], np.nan)
    np.divide(np.nansum(iou, axis=-1), present.sum(axis=-1), out=mean, where=present.any(axis=-1))
    return mean
