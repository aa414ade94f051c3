"""Intersection over union as a gain, with the supplement's closed-form gradient.

Paper: Eqs. 47-59. The printed chain rule of Eqs. 49, 54 and 55 pairs the wrong factors (differentiate class k' with
respect to its own q_{i,k'}); Eqs. 56-59, computed here, are right. Eq. 47 calls it a loss, but it is a gain: training
minimises its negative.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.losses.counts import CorpusCounts
from tinysegrank.losses.expected import cell_weights, check_loss_arguments, class_factors, expected_counts, reciprocal
from tinysegrank.nn.arguments import half_in_float32
from tinysegrank.nn.softmax import softmax, softmax_backward


@half_in_float32
def iou(
    z: Array,
    target: Array,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
    min_mass: float = 0.5,
    counts: CorpusCounts | None = None,
) -> tuple[Array, Array]:
    """Return expected intersection over expected union, averaged over the classes counted; larger is better.

    z       | (N, K, H, W)     | floating | scores
    target  | (N, K, H, W)     | as z     | true distributions
    weight  | (N, H, W)        | as z     | 0 where void; None is 1 everywhere
    returns | (), (N, K, H, W) | as z     | the gain, 0..1 for the mean, and its gradient; both 0 if no class counts

    Args:
        reduction: "mean" over the classes counted, or "sum".
        min_mass: classes with less target mass than this many cells are not counted. "sum" and 0 is Eq. 47 as printed.
        counts: sums over a corpus; the result is then the corpus's gain and this batch's rows of its gradient.

    Raises:
        ShapeError: the arrays are not floating or do not fit each other, a weight is negative, or an option is out of
            range.
    """
    check_loss_arguments("iou", z, target, weight)
    xp = array_namespace(z)
    q, context = softmax(z, axis=1)
    sums = expected_counts(q, target, weight) if counts is None else counts.like(z)
    share = class_factors(sums.mass, min_mass=min_mass, reduction=reduction)
    per_union, slope = reciprocal(sums.union)
    value = xp.sum(share * sums.intersection * per_union)  # Eq. 47
    to_intersection = xp.reshape(share * per_union, (1, -1, 1, 1))
    to_union = xp.reshape(share * sums.intersection * slope, (1, -1, 1, 1))
    grad_q = cell_weights(z, weight) * (target * to_intersection + (1 - target) * to_union)  # Eq. 53
    return value, softmax_backward(grad_q, context)  # Eq. 57
