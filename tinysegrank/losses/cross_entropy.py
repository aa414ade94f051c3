"""Cross-entropy between true and predicted class distributions: the paper's baseline loss.

Paper: section 3.1. Its normalisation is not given; here it is the weighted mean over cells.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.losses.counts import CorpusCounts
from tinysegrank.losses.expected import cell_weights, check_loss_arguments, reciprocal
from tinysegrank.nn.arguments import half_in_float32
from tinysegrank.nn.softmax import log_softmax, log_softmax_backward


@half_in_float32
def soft_cross_entropy(
    z: Array, target: Array, weight: Array | None = None, *, counts: CorpusCounts | None = None
) -> tuple[Array, Array]:
    """Return the weighted mean over cells of - sum over k of target_k log softmax(z)_k, and its gradient.

    z       | (N, K, H, W)     | floating | scores
    target  | (N, K, H, W)     | as z     | true distributions
    weight  | (N, H, W)        | as z     | 0 where void; None is 1 everywhere
    returns | (), (N, K, H, W) | as z     | the value, at least 0, and its gradient; both 0 where all weights are 0

    With `counts` of a corpus, return the loss of the whole corpus and this batch's rows of its gradient.

    Raises:
        ShapeError: the arrays are not floating or do not fit each other, or a NumPy weight is negative or NaN.
    """
    check_loss_arguments("soft_cross_entropy", z, target, weight)
    xp = array_namespace(z)
    cells = cell_weights(z, weight)  # (N, 1, H, W)
    truth = cells * target
    log_q, context = log_softmax(z, axis=1)
    share, _ = reciprocal(xp.sum(cells) if counts is None else counts.like(z).weight)
    grad_z = log_softmax_backward(-truth, context) * share
    if counts is not None:
        return share * counts.cross_entropy_like(z), grad_z
    return share * xp.sum(truth * -log_q), grad_z
