"""Confidence interval of the difference between two methods, by the paired bootstrap over images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.metrics.confusion import check_chosen, iou_of_counts


class Difference(NamedTuple):
    """A difference of mean corpus IoU, -1..1, and the ends of its 95 % confidence interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """True if the interval excludes 0, so that the sign does not depend on which images were drawn."""
        return self.low > 0 or self.high < 0


def paired_difference(
    first: np.ndarray,
    second: np.ndarray,
    *,
    rng: np.random.Generator,
    classes: Sequence[int] | None = None,
    resamples: int = 1000,
) -> Difference:
    """Compute the mean corpus IoU of the first method minus that of the second, with its 95 % confidence interval.

    first, second | (N, K, K)  | integer | confusion matrix of each image; the same images in the same order
    returns       | Difference | float   | -1..1

    Each resample draws N images with replacement and adds up each method's confusion matrices over them, so that the
    difficulty of an image, the same for both, cancels. Classes absent from the truth of a resample are left out of its
    means; a resample with none of the classes is left out of the interval.

    Args:
        rng: draws the resamples.
        classes: indices of the classes to average over; all by default.
        resamples: number of resamples.

    Raises:
        ShapeError: the arrays do not fit, their truths differ, or none of the classes is in the truth.
        ConfigError: a class is out of range or duplicated, or `resamples` is below 1.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, percentile intervals.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 3 or first.shape != second.shape or first.shape[1] != first.shape[2] or not len(first):
        raise ShapeError(f"first, second: shapes {first.shape}, {second.shape}; give (N, K, K) of the same images")
    if not np.array_equal(first.sum(axis=2), second.sum(axis=2)):
        raise ShapeError("first, second: their truths differ; measure both on the same images, in the same order")
    if resamples < 1:
        raise ConfigError(f"resamples={resamples}: give at least 1")
    images, chosen = len(first), check_chosen(classes, first.shape[1])
    sums = [_sums(matrices) for matrices in (first, second)]
    value = float(_mean_difference(np.ones((1, images)), sums, chosen)[0])
    if np.isnan(value):
        raise ShapeError(f"classes: none of {chosen} is in the truth of these images; choose others")
    drawn = rng.multinomial(images, np.full(images, 1 / images), size=resamples)  # (B, N)
    low, high = np.nanquantile(_mean_difference(drawn, sums, chosen), [0.025, 0.975])
    return Difference(value, float(low), float(high))


def _sums(matrices: np.ndarray) -> np.ndarray:
    """Return each class's intersection, then its pixels in the truth, then in the labels: (N, 3 K) float64, exact."""
    parts = np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(axis=2), matrices.sum(axis=1)
    return np.concatenate(parts, axis=1).astype(np.float64)


def _mean_difference(weights: np.ndarray, sums: list[np.ndarray], classes: list[int]) -> np.ndarray:
    """Return the mean IoU of the first method minus that of the second, for each of B resamples.

    weights | (B, N)          | how often each image was drawn
    sums    | two of (N, 3 K) | each method's `_sums`
    returns | (B,)            | NaN where none of the classes is in the truth
    """
    ious = []
    for of_method in sums:
        intersection, truth, labels = np.split(weights @ of_method, 3, axis=1)  # (B, K) each
        ious.append(iou_of_counts(intersection, truth, labels)[:, classes])
    present, gaps = truth[:, classes] > 0, ious[0] - ious[1]  # (B, classes); the truth is the same for both
    total, count = np.where(present, gaps, 0.0).sum(axis=1), present.sum(axis=1)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
