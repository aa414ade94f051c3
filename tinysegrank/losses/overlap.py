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
    """A loss that is a ratio of expected intersection and union, averaged over classes."""

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
        """Return the loss and its gradient; both are 0 if no class counts.

        z       | (N, K, H, W)     | floating | scores
        target  | (N, K, H, W)     | as z     | true distributions
        weight  | (N, H, W)        | as z     | 0 where void; None is 1 everywhere
        returns | (), (N, K, H, W) | as z     | value and gradient

        Args:
            reduction: "mean" over the classes counted, or "sum". "sum" with min_mass=0 is Eqs. 47 and 60 as printed.
            min_mass: classes with less target mass than this many cells are not counted.
            counts: sums over a corpus; the result is then the corpus's loss and this batch's rows of its gradient.

        Raises:
            ShapeError: the arrays are not floating or do not fit each other, a weight is negative, or an option is out
                of range.
        """


def overlap_loss(ratio: Callable[[ExpectedCounts, Array], tuple[Array, Array, Array]]) -> OverlapLoss:
    """Make a loss of a function of each class's sums and of its factor in the loss.

    The function returns three arrays (K,): the ratio times the factor, and its derivatives with respect to I and U.
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
    """Return the mean of I / U, 0..1; larger is better. For the arguments see `OverlapLoss`.

    Eq. 47 calls it a loss, but it is a gain: training minimises its negative.
    """
    per_union, slope = reciprocal(sums.union)
    return share * sums.intersection * per_union, share * per_union, share * sums.intersection * slope  # Eq. 47


@overlap_loss
def uoi(sums: ExpectedCounts, share: Array) -> tuple[Array, Array, Array]:
    """Return the mean of U / I, at least 1; smaller is better. For the arguments see `OverlapLoss`.

    A class that is very rare or wholly missed has a very large term, since its intersection is the divisor. If that
    dominates, raise `min_mass`, use larger batches, or pass the counts of a corpus.
    """
    per_intersection, slope = reciprocal(sums.intersection)
    return share * sums.union * per_intersection, share * sums.union * slope, share * per_intersection  # Eq. 60


@overlap_loss
def soft_dice(sums: ExpectedCounts, share: Array) -> tuple[Array, Array, Array]:
    """Return the mean of 1 - 2 I / (I + U), 0..1; smaller is better. For the arguments see `OverlapLoss`.

    It ranks segmentations of a class as IOU does, but has a flatter slope where the overlap is good.

    Source: Milletari, Navab and Ahmadi (2016), V-Net, who square the probabilities in the divisor.
    """
    per_cardinality, slope = reciprocal(sums.cardinality)
    to_cardinality = -2 * share * sums.intersection * slope
    terms = share * (1 - 2 * sums.intersection * per_cardinality)
    return terms, to_cardinality - 2 * share * per_cardinality, to_cardinality
