"""Union over intersection, the loss that the paper minimises instead of maximising IOU.

Paper: Eqs. 6-10 and 60-67. The printed chain rule of Eqs. 61-63 pairs the wrong factors (differentiate class k' with
respect to its own q_{i,k'}); Eqs. 64-67, computed here, are right.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.losses.counts import CorpusCounts
from tinysegrank.losses.expected import cell_weights, check_loss_arguments, class_factors, expected_counts, reciprocal
from tinysegrank.nn.arguments import half_in_float32
from tinysegrank.nn.softmax import softmax, softmax_backward


@half_in_float32
def uoi(
    z: Array,
    target: Array,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
    min_mass: float = 0.5,
    counts: CorpusCounts | None = None,
) -> tuple[Array, Array]:
    """Return expected union over expected intersection, averaged over the classes counted; smaller is better.

    A class that is very rare or wholly missed has a very large term, since its intersection is the divisor. If that
    dominates, raise `min_mass`, use larger batches, or pass the counts of a corpus.

    z       | (N, K, H, W)     | floating | scores
    target  | (N, K, H, W)     | as z     | true distributions
    weight  | (N, H, W)        | as z     | 0 where void; None is 1 everywhere
    returns | (), (N, K, H, W) | as z     | the loss, at least 1, and its gradient; both 0 if no class counts

    Args:
        reduction: "mean" over the classes counted, or "sum".
        min_mass: classes with less target mass than this many cells are not counted. "sum" and 0 is Eq. 60 as printed.
        counts: sums over a corpus; the result is then the corpus's loss and this batch's rows of its gradient.

    Raises:
        ShapeError: the arrays are not floating or do not fit each other, a weight is negative, or an option is out of
            range.
    """
    check_loss_arguments("uoi", z, target, weight)
    xp = array_namespace(z)
    q, context = softmax(z, axis=1)
    sums = expected_counts(q, target, weight) if counts is None else counts.like(z)
    share = class_factors(sums.mass, min_mass=min_mass, reduction=reduction)
    per_intersection, slope = reciprocal(sums.intersection)
    value = xp.sum(share * sums.union * per_intersection)  # Eq. 60
    to_union = xp.reshape(share * per_intersection, (1, -1, 1, 1))
    to_intersection = xp.reshape(share * sums.union * slope, (1, -1, 1, 1))
    grad_q = cell_weights(z, weight) * ((1 - target) * to_union + target * to_intersection)  # Eq. 63
    return value, softmax_backward(grad_q, context)  # Eq. 65
