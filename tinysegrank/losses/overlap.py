"""IOU, UOI and soft Dice: losses that are a ratio of expected intersection I and union U for each class.

Paper: Eqs. 47-67. The printed chain rule of Eqs. 49, 54, 55 and 61-63 pairs the wrong factors (differentiate class k'
with respect to its own q_{i,k'}); Eqs. 56-59 and 64-67, computed here, are right.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from inspect import signature
from typing import Protocol

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.losses.counts import CorpusCounts
from tinysegrank.losses.expected import (
    ExpectedCounts,
    cell_weights,
    check_loss_arguments,
    class_factors,
    expected_counts,
    reciprocal,
)
from tinysegrank.nn.arguments import half_in_float32
from tinysegrank.nn.softmax import softmax, softmax_backward


class OverlapLoss(Protocol):
    """Protocol of a loss that averages over classes, such as a ratio of expected intersection and union."""

    def __call__(
        self,
        z: Array,
        target: Array,
        weight: Array | None = None,
        *,
        reduction: str = "mean",
        min_mass: float = 0.5,
        counts: CorpusCounts | None = None,
    ) -> tuple[Array, Array]:
        """Return the loss and its gradient with respect to z; both are 0 if no class counts.

        z       | (N, K, H, W)     | floating | scores
        target  | (N, K, H, W)     | as z     | true distributions
        weight  | (N, H, W)        | as z     | 0 where void; None is 1 everywhere
        returns | (), (N, K, H, W) | as z     | value and gradient

        Args:
            reduction: "mean" or "sum" over the classes counted. "sum" with min_mass=0 is Eqs. 47 and 60 as printed.
            min_mass: a class counts if its targets, each times its cell's weight, sum to this or more.
            counts: sums over a corpus; the result is then the corpus's loss and this batch's rows of its gradient.

        Raises:
            ShapeError: the arrays are not floating or do not fit each other, a NumPy weight is negative or NaN, or
                reduction or min_mass is out of range.
        """


def overlap_loss(ratio: Callable[[ExpectedCounts, Array], tuple[Array, Array, Array]]) -> OverlapLoss:
    """Decorate `ratio` so that it becomes a loss with the arguments and results of `OverlapLoss`.

    `ratio` takes the sums and each class's factor in the loss (K,), and returns three arrays (K,): each class's ratio
    times its factor, and the derivatives of this with respect to the class's I and U.
    """

    @half_in_float32
    def loss(
        z: Array,
        target: Array,
        weight: Array | None = None,
        *,
        reduction: str = "mean",
        min_mass: float = 0.5,
        counts: CorpusCounts | None = None,
    ) -> tuple[Array, Array]:
        check_loss_arguments(ratio.__name__, z, target, weight)
        xp = array_namespace(z)
        q, context = softmax(z, axis=1)
        sums = expected_counts(q, target, weight) if counts is None else counts.like(z)
        share = class_factors(sums.mass, min_mass=min_mass, reduction=reduction)
        terms, *slopes = ratio(sums, share)
        to_intersection, to_union = (xp.reshape(slope, (1, -1, 1, 1)) for slope in slopes)
        grad_q = cell_weights(z, weight) * (target * to_intersection + (1 - target) * to_union)  # Eqs. 53, 63
        return xp.sum(terms), softmax_backward(grad_q, context)  # Eqs. 57, 65

    vars(loss)["__signature__"] = signature(loss)  # not that of `ratio`
    return update_wrapper(loss, ratio)


@overlap_loss
def iou(sums: ExpectedCounts, share: Array) -> tuple[Array, Array, Array]:
    """Return the mean of I / U, 0..1, and its gradient; larger is better.

    The decorator replaces the arguments by those of `OverlapLoss`. Eq. 47 calls I / U a loss, but it is a gain:
    training minimises its negative.
    """
    per_union, slope = reciprocal(sums.union)
    return share * sums.intersection * per_union, share * per_union, share * sums.intersection * slope  # Eq. 47


@overlap_loss
def uoi(sums: ExpectedCounts, share: Array) -> tuple[Array, Array, Array]:
    """Return the mean of U / I, at least 1, and its gradient; smaller is better.

    The decorator replaces the arguments by those of `OverlapLoss`. A class that is very rare or wholly missed has a
    very large term, since I is the divisor. If such terms dominate, raise `min_mass`, use larger batches, or pass the
    counts of a corpus.
    """
    per_intersection, slope = reciprocal(sums.intersection)
    return share * sums.union * per_intersection, share * sums.union * slope, share * per_intersection  # Eq. 60


@overlap_loss
def soft_dice(sums: ExpectedCounts, share: Array) -> tuple[Array, Array, Array]:
    """Return the mean of 1 - 2 I / (I + U), 0..1, and its gradient; smaller is better.

    The decorator replaces the arguments by those of `OverlapLoss`. Dice ranks segmentations of a class as IOU does, but
    has a flatter slope where the overlap is good.

    Source: Milletari, Navab and Ahmadi (2016), V-Net, who square the probabilities in the divisor.
    """
    per_cardinality, slope = reciprocal(sums.cardinality)
    to_cardinality = -2 * share * sums.intersection * slope
    terms = share * (1 - 2 * sums.intersection * per_cardinality)
    return terms, to_cardinality - 2 * share * per_cardinality, to_cardinality
