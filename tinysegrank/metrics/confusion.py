"""Confusion matrices of hard labels, of one image or summed over many, and the IoUs computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Literal, NamedTuple, Self

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.voc.classes import NUM_CLASSES, VOID
from tinysegrank.voc.labels import check_labels, count_pairs


class MeanIoU(NamedTuple):
    """A mean IoU, 0..1 or NaN, and the number of classes that it averages; see `Confusion.mean_iou`."""

    value: float
    classes: int


class Confusion:
    """Counts of pixels by true class and label, over the pixels whose truth is not void.

    Args:
        num_classes: number of classes K, 1..255, background included.

    Attributes:
        matrix: (K, K) int64; row: true class, column: label.

    Raises:
        ConfigError: num_classes is out of range.

    Source: the rule of VOCevalseg.m in the VOC devkit.
    """

    def __init__(self, num_classes: int = NUM_CLASSES) -> None:
        if not 1 <= num_classes <= VOID:
            raise ConfigError(f"num_classes: {num_classes} is outside 1..{VOID}")
        self.num_classes = num_classes
        self.matrix = np.zeros((num_classes, num_classes), np.int64)

    @classmethod
    def of(cls, matrices: np.ndarray) -> Self:
        """Make a Confusion of the sum of any number of images' confusion matrices.

        matrices | (..., K, K) | integer | row: true class, column: label
        """
        confusion = cls(matrices.shape[-1])
        confusion.matrix += matrices.sum(axis=tuple(range(matrices.ndim - 2)), dtype=np.int64)
        return confusion

    def update(self, truth: np.ndarray, labels: np.ndarray) -> Self:
        """Add the pixels of an image, in place; return self.

        truth  | (H, W) | integer | 0..K-1, or 255 where void
        labels | (H, W) | integer | 0..K-1, also at void pixels

        Raises:
            ShapeError, DatasetError: see `image_confusions`.
        """
        self.matrix += image_confusions(truth, np.asarray(labels)[None], num_classes=self.num_classes)[0]
        return self

    def iou(self) -> np.ndarray:
        """Return the intersection over union of each class.

        returns | (K,) | float64 | 0..1; NaN for a class neither in the truth nor in the labels
        """
        return iou_of_confusion(self.matrix)

    def mean_iou(self, *, absent: Literal["skip", "strict"] = "skip", classes: Sequence[int] | None = None) -> MeanIoU:
        """Return the mean IoU and the number of classes in it.

        Args:
            absent: "skip" leaves out classes absent from the truth; the mean is NaN if none is left. "strict" is the
                devkit's plain mean, which is NaN if a class is neither in the truth nor in the labels.
            classes: indices of the classes to average over; all by default.

        Raises:
            ConfigError: `absent` is neither of these, or a class is out of range or duplicated.
        """
        if absent not in ("skip", "strict"):
            raise ConfigError(f"absent: {absent!r} is neither 'skip' nor 'strict'")
        chosen = check_chosen(classes, self.num_classes)
        if absent == "skip":
            chosen = [index for index in chosen if self.matrix[index].any()]
        mean = float(self.iou()[chosen].mean()) if chosen else float("nan")  # Eq. 2
        return MeanIoU(mean, len(chosen))


def check_chosen(classes: Sequence[int] | None, num_classes: int) -> list[int]:
    """Return the classes to average over: those given, or all if None is.

    Raises:
        ConfigError: one is outside 0..num_classes - 1 or duplicated.
    """
    chosen = list(range(num_classes) if classes is None else classes)
    if len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(num_classes)):
        raise ConfigError(f"classes: {chosen} are not distinct classes in 0..{num_classes - 1}")
    return chosen


def image_confusions(truth: np.ndarray, proposals: np.ndarray, *, num_classes: int = NUM_CLASSES) -> np.ndarray:
    """Count pixels by true class and label, for several labellings of one image.

    truth     | (H, W)    | integer | 0..K-1, or 255 where void
    proposals | (M, H, W) | integer | 0..K-1, also at void pixels
    returns   | (M, K, K) | int64   | pixels; row: true class, column: label

    Raises:
        ShapeError: the shapes do not fit, or the arrays are not of integers.
        DatasetError: a value is out of range.
    """
    truth, proposals = np.asarray(truth), np.asarray(proposals)
    if proposals.shape[1:] != truth.shape:
        raise ShapeError(f"labels: shape {proposals.shape[1:]} does not fit truth of shape {truth.shape}")
    if not truth.dtype == proposals.dtype == np.uint8:
        truth, proposals = _checked(truth, proposals, num_classes)
    rows = proposals.reshape(len(proposals), truth.size)  # (M, P)
    counts, strange = count_pairs(truth.reshape(-1), rows, (num_classes, num_classes))
    if strange:
        _checked(truth, proposals, num_classes)  # says which value it is
    return counts


def _checked(truth: np.ndarray, proposals: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and proposals as uint8; raise if a value is out of range."""
    return (
        check_labels(truth, num_classes=num_classes, name="truth"),
        check_labels(proposals, num_classes=num_classes, void=None),
    )


def iou_of_confusion(matrix: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each class of one or more confusion matrices.

    matrix  | (..., K, K) | integer | pixels; row: true class, column: label
    returns | (..., K)    | float64 | 0..1; NaN for a class neither in the truth nor in the labels
    """
    return iou_of_counts(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(axis=-1), matrix.sum(axis=-2))


def iou_of_counts(intersection: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the IoU of each class, given its pixels in both truth and labels, in the truth, and in the labels.

    intersection, truth, labels | (..., K) | number  | pixels
    returns                     | (..., K) | float64 | 0..1; NaN for a class neither in the truth nor in the labels
    """
    union = truth + labels - intersection
    return np.divide(intersection, union, out=np.full(union.shape, np.nan), where=union > 0)  # Eq. 1


def corpus_iou(
    truths: Iterable[np.ndarray], labels: Iterable[np.ndarray], *, num_classes: int = NUM_CLASSES
) -> np.ndarray:
    """Return the IoU of each class over a set of images, as VOC reports it.

    truths  | each (H, W) | integer | 0..K-1, or 255 where void
    labels  | each (H, W) | integer | 0..K-1, of the same images in the same order
    returns | (K,)        | float64 | 0..1; NaN for a class neither in the truths nor in the labels

    Pixels are counted over all images before the division, so that large objects weigh more than in a mean of
    `image_iou`.

    Raises:
        ShapeError: there isn't one label map per truth, the shapes do not fit, or the arrays are not of integers.
        DatasetError: a value is out of range.
    """
    confusion = Confusion(num_classes)
    for truth, labelled in zip_longest(truths, labels):
        if truth is None or labelled is None:
            raise ShapeError("truths, labels: one is longer than the other; give one of each for every image")
        confusion.update(truth, labelled)
    return confusion.iou()


def image_iou(truth: np.ndarray, labels: np.ndarray, *, num_classes: int = NUM_CLASSES) -> float:
    """Return the mean IoU over the classes in an image's truth (H, W) or its labels (H, W); see `image_ious`."""
    return float(image_ious(truth, np.asarray(labels)[None], num_classes=num_classes)[0])


def image_ious(truth: np.ndarray, proposals: np.ndarray, *, num_classes: int = NUM_CLASSES) -> np.ndarray:
    """Return the mean IoU over the classes in an image's truth or labels, for several labellings of the image.

    Background counts like any class; void pixels are left out.

    truth     | (H, W)    | integer | 0..K-1, or 255 where void
    proposals | (M, H, W) | integer | 0..K-1
    returns   | (M,)      | float64 | 0..1, NaN where the whole image is void

    Raises:
        ShapeError, DatasetError: see `image_confusions`.

    Source: the rule of voc_test_models.m in the DivMBest release.
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
