"""IOU and UOI of hard labels as functions of the number of mistakes, and their slopes: the paper's argument for UOI.

Paper: Eqs. 1-10 and Fig. 2. As TP_k + FN_k = GT_k, a class is described by the number of its true pixels GT_k, of its
false positives FP_k and of its false negatives FN_k.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError


class FlipCurve(NamedTuple):
    """Result of `simulate_flips`; entry n is the state after n flips."""

    mistakes: np.ndarray  # (M + 1,) int64: 0..M, the number of false positives, and of false negatives, of all classes
    iou: np.ndarray  # (M + 1,) float64: mean over the classes present, 0..1
    uoi: np.ndarray  # (M + 1,) float64: mean over the classes present, 1..inf


def simulate_flips(
    labels: np.ndarray, *, num_classes: int, rng: np.random.Generator, flips: int | None = None, void: int = 255
) -> FlipCurve:
    """Flip random pixels one by one, each to another random class; return the mean IOU and UOI after each flip.

    No pixel is flipped twice. A flip from class k to l is a false negative of k and a false positive of l. UOI becomes
    infinite when a class has lost all its pixels.

    labels  | any shape | integer | 0..num_classes-1, or void: not counted
    returns | FlipCurve |         |

    Args:
        num_classes: K, at least 2; a pixel is flipped to any of the K - 1 others. Means are over the classes in labels.
        rng: draws the order of the pixels, then their new classes.
        flips: number of flips M; by default each pixel that is not void is flipped.
        void: label of pixels that are left out.

    Raises:
        ShapeError: labels are not integer, out of range or all void, or an option is out of range.

    Paper: Fig. 2.
    """
    truth = _counted(labels, num_classes, void)
    pixels = truth.size
    flips = pixels if flips is None else flips
    if not 0 <= flips <= pixels:
        raise ShapeError(f"simulate_flips: flips={flips} must be 0..{pixels}, the pixels that are not void")
    ground_truth = np.bincount(truth)
    old = truth[rng.permutation(pixels)[:flips]]
    new = (old + rng.integers(1, num_classes, size=flips)) % num_classes

    present = np.flatnonzero(ground_truth)
    iou, uoi = np.zeros(flips + 1), np.zeros(flips + 1)
    for k in present:  # one class at a time, so that only a few curves are in memory
        fn, fp = _running_count(old == k), _running_count(new == k)
        iou += class_iou(ground_truth[k], fp, fn)
        with np.errstate(divide="ignore"):
            uoi += class_uoi(ground_truth[k], fp, fn)
    iou = iou / present.size  # Eq. 2
    uoi = uoi / present.size  # Eq. 6
    return FlipCurve(np.arange(flips + 1), iou, uoi)


def class_iou(ground_truth: Array, fp: Array, fn: Array) -> Array:
    """Return the Jaccard index of a class from its pixel counts, numbers or arrays that broadcast."""
    return (ground_truth - fn) / (ground_truth + fp)  # Eq. 3


def class_uoi(ground_truth: Array, fp: Array, fn: Array) -> Array:
    """Return the inverse Jaccard index of a class from its pixel counts, numbers or arrays that broadcast."""
    return (ground_truth + fp) / (ground_truth - fn)  # Eq. 8


def iou_slopes(ground_truth: Array, fp: Array, fn: Array) -> tuple[Array, Array]:
    """Return the derivatives of a class's IOU with respect to its false positives and false negatives, both negative.

    ground_truth, fp, fn | any shapes that broadcast | floating | pixels of the class, fn < ground_truth
    returns              | two                       | as those | per pixel
    """
    by_fp = -(ground_truth - fn) / (ground_truth + fp) ** 2  # Eq. 4
    by_fn = -1 / (ground_truth + fp)  # Eq. 5
    return by_fp, by_fn


def uoi_slopes(ground_truth: Array, fp: Array, fn: Array) -> tuple[Array, Array]:
    """Return the derivatives of a class's UOI with respect to its false positives and false negatives, both positive.

    ground_truth, fp, fn | any shapes that broadcast | floating | pixels of the class, fn < ground_truth
    returns              | two                       | as those | per pixel
    """
    by_fp = 1 / (ground_truth - fn)  # Eq. 9
    by_fn = (ground_truth + fp) / (ground_truth - fn) ** 2  # Eq. 10
    return by_fp, by_fn


def _counted(labels: np.ndarray, num_classes: int, void: int) -> np.ndarray:
    """Return the labels that are not void, flat, as int64."""
    if num_classes < 2:
        raise ShapeError(f"simulate_flips: num_classes={num_classes} leaves no other class to flip to; give at least 2")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ShapeError(f"simulate_flips: labels are {labels.dtype}; give integers")
    truth = labels[labels != void].astype(np.int64)
    if truth.size == 0:
        raise ShapeError(f"simulate_flips: labels {labels.shape} hold nothing but void ({void})")
    if truth.min() < 0 or truth.max() >= num_classes:
        raise ShapeError(
            f"simulate_flips: labels hold {truth.min()}..{truth.max()}; num_classes={num_classes} allows "
            f"0..{num_classes - 1}, and void is {void}"
        )
    return truth


def _running_count(hits: np.ndarray) -> np.ndarray:
    """Return the number of hits before each index, with the total at the end: (M,) bool to (M + 1,) int64."""
    return np.concatenate([[0], np.cumsum(hits)])
