"""IoU over a set of images: counts are added up first, then divided."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.metrics.confusion import Confusion
from tinysegrank.voc.classes import NUM_CLASSES


def corpus_iou(
    truths: Iterable[np.ndarray], labels: Iterable[np.ndarray], *, num_classes: int = NUM_CLASSES
) -> np.ndarray:
    """Return the IoU of each class over a set of images, the accuracy that VOC reports.

    truths  | each (H, W) | integer | 0..K-1, or 255 where void
    labels  | each (H, W) | integer | 0..K-1, an image's labels for each truth
    returns | (K,)        | float64 | 0..1; NaN for a class neither in the truths nor in the labels

    This is not the mean of `image_iou`: large objects weigh more, and a rare class is judged over all images at once.

    Raises:
        ShapeError: the two have different lengths, or an image's arrays differ in shape.
        DatasetError: a value is out of range.
    """
    confusion = Confusion(num_classes)
    try:
        for truth, labelled in zip(truths, labels, strict=True):
            confusion.update(truth, labelled)
    except ShapeError:
        raise
    except ValueError as error:
        raise ShapeError(f"truths, labels: {error}; give one of each for every image") from error
    return confusion.iou()
