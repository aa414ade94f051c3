"""Soft Dice loss: one minus twice the expected intersection over the sum of prediction and truth.

Source: Milletari, Navab and Ahmadi (2016), V-Net, who square the probabilities in the divisor. Here they are not
squared, so that the divisor is E[I] + E[U] (Eqs. 24 and 29) and a class's Dice is 2 J / (1 + J), where J is its soft
IOU. Both rank segmentations of a class alike, but Dice has a flatter slope where the overlap is good.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.losses.counts import CorpusCounts
from tinysegrank.losses.expected import cell_weights, check_loss_arguments, class_factors, expected_counts, reciprocal
from tinysegrank.nn.arguments import half_in_float32
from tinysegrank.nn.softmax import softmax, softmax_backward


@half_in_float32
def soft_dice(
    z: Array,
    target: Array,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
    min_mass: float = 0.5,
    counts: CorpusCounts | None = None,
) -> tuple[Array, Array]:
    """Return 1 - 2 I / (I + U), averaged over the classes counted, for expected intersection I and union U.

    z       | (N, K, H, W)     | floating | scores
    target  | (N, K, H, W)     | as z     | true distributions
    weight  | (N, H, W)        | as z     | 0 where void; None is 1 everywhere
    returns | (), (N, K, H, W) | as z     | the loss, 0..1 for the mean, and its gradient; both 0 if no class counts

    Args:
        reduction: "mean" over the classes counted, or "sum".
        min_mass: classes with less target mass than this many cells are not counted.
        counts: sums over a corpus; the result is then the corpus's loss and this batch's rows of its gradient.

    Raises:
        ShapeError: the arrays are not floating or do not fit each other, a weight is negative, or an option is out of
            range.
    """
    check_loss_arguments("soft_dice", z, target, weight)
    xp = array_namespace(z)
    q, context = softmax(z, axis=1)
    sums = expected_counts(q, target, weight) if counts is None else counts.like(z)
    share = class_factors(sums.mass, min_mass=min_mass, reduction=reduction)
    per_cardinality, slope = reciprocal(sums.cardinality)
    value = xp.sum(share * (1 - 2 * sums.intersection * per_cardinality))
    to_intersection = xp.reshape(-2 * share * per_cardinality, (1, -1, 1, 1))
    to_cardinality = xp.reshape(-2 * share * sums.intersection * slope, (1, -1, 1, 1))
    grad_q = cell_weights(z, weight) * (target * to_intersection + to_cardinality)
    return value, softmax_backward(grad_q, context)
