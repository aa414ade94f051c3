"""IOU and UOI of hard labels as functions of the number of mistakes, with slopes and bounds: why UOI is minimised.

Paper: Eqs. 1-15 and Fig. 2. As TP_k + FN_k = GT_k, a class k is described by its numbers of true pixels GT_k, of false
positives FP_k and of false negatives FN_k.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError
from tinysegrank.nn.arguments import check_floating, half_in_float32

_VOID = 255


class FlipCurve(NamedTuple):
    """Result of `simulate_flips`; entry n of each array is the state after n flips."""

    mistakes: np.ndarray  # (M + 1,) int64: n; all classes together have n false positives and n false negatives
    iou: np.ndarray  # (M + 1,) float64: mean over the classes present, 0..1
    uoi: np.ndarray  # (M + 1,) float64: mean over the classes present, 1..inf


def simulate_flips(labels: np.ndarray, *, num_classes: int, rng: np.random.Generator) -> FlipCurve:
    """Flip the M pixels that are not void, one by one, each to another random class; return mean IOU and UOI each time.

    A flip from class k to l is a false negative of k and a false positive of l. UOI becomes infinite once all true
    pixels of a class are flipped.

    labels  | any shape | integer | 0..num_classes-1, or 255 for void
    returns | FlipCurve |         |

    Args:
        num_classes: K, at least 2; a pixel is flipped to any of the K - 1 others. Means are over the classes in labels.
        rng: draws the order of the pixels, then their new classes.

    Raises:
        ShapeError: labels are not integer, out of range or all void, or there is only one class.

    Paper: Fig. 2.
    """
    if num_classes < 2:
        raise ShapeError(f"simulate_flips: num_classes={num_classes} leaves no other class to flip to; give at least 2")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ShapeError(f"simulate_flips: labels are {labels.dtype}; give integers")
    truth = labels[labels != _VOID].astype(np.int64)
    flips = truth.size
    if flips == 0:
        raise ShapeError(f"simulate_flips: labels {labels.shape} hold nothing but void ({_VOID})")
    if truth.min() < 0 or truth.max() >= num_classes:
        raise ShapeError(
            f"simulate_flips: labels hold {truth.min()}..{truth.max()}; num_classes={num_classes} allows "
            f"0..{num_classes - 1}, and void is {_VOID}"
        )

    ground_truth = np.bincount(truth)
    old = truth[rng.permutation(flips)]
    new = (old + rng.integers(1, num_classes, size=flips)) % num_classes

    present = np.flatnonzero(ground_truth)
    iou, uoi = np.zeros(flips + 1), np.zeros(flips + 1)
    for k in present:  # one class at a time, so that only a few curves are in memory
        fn, fp = (np.concatenate([[0], np.cumsum(hits)]) for hits in (old == k, new == k))  # (M + 1,)
        iou += class_iou(ground_truth[k], fp, fn)
        with np.errstate(divide="ignore"):
            uoi += class_uoi(ground_truth[k], fp, fn)
    iou = iou / present.size  # Eq. 2
    uoi = uoi / present.size  # Eq. 6
    return FlipCurve(np.arange(flips + 1), iou, uoi)


def class_iou(ground_truth: Array, fp: Array, fn: Array) -> Array:
    """Return a class's Jaccard index from GT_k, FP_k and FN_k, its numbers of pixels (or arrays of them)."""
    return (ground_truth - fn) / (ground_truth + fp)  # Eq. 3


def iou_slopes(ground_truth: Array, fp: Array, fn: Array) -> tuple[Array, Array]:
    """Return the derivatives of `class_iou` with respect to fp and fn; both are negative if fn < ground_truth."""
    by_fp = -(ground_truth - fn) / (ground_truth + fp) ** 2  # Eq. 4
    by_fn = -1 / (ground_truth + fp)  # Eq. 5
    return by_fp, by_fn


def class_uoi(ground_truth: Array, fp: Array, fn: Array) -> Array:
    """Return the inverse of `class_iou`, from the same arguments."""
    return (ground_truth + fp) / (ground_truth - fn)  # Eq. 8


def uoi_slopes(ground_truth: Array, fp: Array, fn: Array) -> tuple[Array, Array]:
    """Return the derivatives of `class_uoi` with respect to fp and fn; both are positive if fn < ground_truth."""
    by_fp = 1 / (ground_truth - fn)  # Eq. 9
    by_fn = (ground_truth + fp) / (ground_truth - fn) ** 2  # Eq. 10
    return by_fp, by_fn


@half_in_float32
def iou_bound(uoi: Array) -> Array:
    """Return the paper's lower bound on the sum of IOU over classes, 1 / (sum of UOI over classes).

    It is far from tight: where UOI_k = 1 for all K classes, the bound is 1 / K and the sum of IOU is K.

    uoi     | (..., K) | floating | 1..inf, of each class
    returns | (...)    | as uoi   | 0..1/K

    Raises:
        ShapeError: uoi is not floating.
    """
    check_floating("iou_bound", uoi=uoi)
    xp = array_namespace(uoi)
    return 1 / xp.sum(uoi, axis=-1)  # Eq. 15


@half_in_float32
def tight_iou_bound(uoi: Array) -> Array:
    """Return K^2 / (sum of UOI over classes), a lower bound on the sum of IOU, attained where all UOI_k are equal.

    The bound is the inequality of arithmetic and harmonic means; divided by K, it reads mean IOU >= 1 / mean UOI. The
    argument and the errors are those of `iou_bound`.
    """
    return uoi.shape[-1] ** 2 * iou_bound(uoi)
