"""IoU over a set of images: counts are added up first, then divided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import TypeVar

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.metrics.confusion import Confusion
from tinysegrank.voc.classes import NUM_CLASSES

First = TypeVar("First")
Second = TypeVar("Second")


def corpus_iou(
    truths: Iterable[np.ndarray], labels: Iterable[np.ndarray], *, num_classes: int = NUM_CLASSES
) -> np.ndarray:
    """Return the IoU of each class over a set of images, the accuracy that VOC reports.

    truths  | each (H, W) | integer | 0..K-1, or 255 where void
    labels  | each (H, W) | integer | 0..K-1, an image's labels for each truth
    returns | (K,)        | float64 | 0..1; NaN for a class neither in the truths nor in the labels

    This is not the mean of `image_iou`: large objects weigh more, and a rare class is judged over all images at once.

    Raises:
        ShapeError: the two have different lengths.
        ShapeError, DatasetError: see `image_confusions`.
    """
    confusion = Confusion(num_classes)
    for truth, labelled in in_step(truths, labels, "truths, labels"):
        confusion.update(truth, labelled)
    return confusion.iou()


def in_step(first: Iterable[First], second: Iterable[Second], names: str) -> Iterator[tuple[First, Second]]:
    """Yield pairs of items, neither of them None; raise a ShapeError that begins with `names` if one ends early."""
    for pair in zip_longest(first, second):
        if pair[0] is None or pair[1] is None:
            raise ShapeError(f"{names}: one is longer than the other; give one of each for every image")
        yield pair
