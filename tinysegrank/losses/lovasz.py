"""Lovász-Softmax: the convex extension of each class's Jaccard loss from sets of wrong cells to continuous errors.

If Y is the set of true cells of class k, and M the set of cells that are wrong, the Jaccard loss is |M| / |Y u M|,
where |.| is the sum of the cells' weights. Its Lovász extension adds the cells to M from the largest error down, and
sums each cell's error times the rise in Jaccard loss when the cell is added.

Source: Berman, Triki and Blaschko (2018), The Lovász-Softmax loss, who also compute it per image; here it is computed
over the whole batch.
"""

from __future__ import annotations

from array_api_compat import array_namespace, device

from tinysegrank.backend import Array
from tinysegrank.errors import ConfigError
from tinysegrank.losses.counts import CorpusCounts
from tinysegrank.losses.expected import SMALLEST_DIVISOR, cell_weights, check_loss_arguments, class_factors
from tinysegrank.nn.arguments import half_in_float32
from tinysegrank.nn.softmax import softmax, softmax_backward


@half_in_float32
def lovasz_softmax(
    z: Array,
    target: Array,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
    min_mass: float = 0.5,
    counts: CorpusCounts | None = None,
) -> tuple[Array, Array]:
    """Return the Lovász extension of the Jaccard loss over all cells, averaged over classes, and its gradient.

    Each cell first becomes a true cell of one class, that of its largest target (the first of equal ones), since the
    loss extends a function of sets of cells. Where errors tie, the gradient is one of the subgradients.

    The arguments are those of `OverlapLoss`, except that real arrays are needed, and no counts can be given. With
    min_mass=0 an absent class counts too: its loss is its largest probability at any cell that isn't void.

    Raises:
        ShapeError: see `OverlapLoss`; or an array is complex.
        ConfigError: counts are given.
    """
    if counts is not None:
        raise ConfigError(
            "lovasz_softmax takes no counts=: it sorts all cells by their error, so sums per class are not enough; "
            "pass the cells in one batch, or use iou, uoi or soft_dice on a corpus"
        )
    check_loss_arguments("lovasz_softmax", z, target, weight, real=True)
    xp = array_namespace(z)
    N, K, H, W = z.shape
    q, context = softmax(z, axis=1)
    classes = xp.reshape(xp.arange(K, device=device(z)), (1, K, 1, 1))
    truth = xp.astype(xp.expand_dims(xp.argmax(target, axis=1), axis=1) == classes, z.dtype)  # (N, K, H, W)
    cells = xp.broadcast_to(cell_weights(z, weight), z.shape)  # (N, K, H, W)

    by_class = (xp.permute_dims(a, (1, 0, 2, 3)) for a in (xp.abs(truth - q), truth, cells))  # (K, N, H, W)
    error, truth, cells = (xp.reshape(a, (K, -1)) for a in by_class)  # (K, N * H * W)
    share = class_factors(xp.sum(cells * truth, axis=1), min_mass=min_mass, reduction=reduction)
    order = xp.argsort(error, axis=1, descending=True, stable=False)  # equal errors may go in any order
    rise = _jaccard_rise(xp.take_along_axis(truth, order, axis=1), xp.take_along_axis(cells, order, axis=1))
    unsorted = xp.argsort(order, axis=1, stable=False)  # the inverse permutation
    rise = xp.take_along_axis(rise, unsorted, axis=1) * xp.expand_dims(share, axis=1)
    value = xp.sum(error * rise)

    grad_q = xp.reshape((1 - 2 * truth) * rise, (K, N, H, W))  # an error is q off the truth and 1 - q on it
    return value, softmax_backward(xp.permute_dims(grad_q, (1, 0, 2, 3)), context)


def _jaccard_rise(truth: Array, cells: Array) -> Array:
    """Return the rise in Jaccard loss when each cell, in the order given, is added to the wrong ones.

    With intersection I and union U before, a true cell of weight w takes w from I, a rise of w / U. Any other cell adds
    w to U, a rise from 1 - I / U to 1 - I / (U + w), by w I / (U (U + w)). Subtracting losses would cancel in float32.

    truth   | (K, L) | floating | 1 for true cells of the class, otherwise 0; sorted by error, largest first
    cells   | (K, L) | as truth | weights of the cells, in the same order
    returns | (K, L) | as truth | at least 0; each class's sum is 1 unless all weights are 0
    """
    xp = array_namespace(truth)
    mass = xp.sum(cells * truth, axis=1, keepdims=True)  # (K, 1)
    others = cells * (1 - truth)
    union = mass + xp.cumulative_sum(others, axis=1)
    before = mass + (xp.cumulative_sum(others, axis=1) - others)
    intersection = xp.maximum(mass - xp.cumulative_sum(cells * truth, axis=1), xp.zeros_like(mass))
    smallest = xp.full_like(union, SMALLEST_DIVISOR)
    overlap = xp.where(before > 0, intersection / xp.maximum(before, smallest), xp.ones_like(before))
    return cells / xp.maximum(union, smallest) * (truth + (1 - truth) * overlap)
