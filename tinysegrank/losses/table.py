"""The table of losses by name, all to be minimised. Any of them can be chosen for training.

Paper: section 5 and Figure 6 compare CE, UOI and 0.7 UOI + 0.3 CE; section 3.2 uses IOU, a gain, whose negative is in
the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from inspect import signature
from typing import Any

from tinysegrank.backend import Array
from tinysegrank.config import look_up
from tinysegrank.errors import ConfigError
from tinysegrank.losses.counts import CorpusCounts, Loss
from tinysegrank.losses.cross_entropy import soft_cross_entropy
from tinysegrank.losses.lovasz import lovasz_softmax
from tinysegrank.losses.overlap import iou, soft_dice, uoi
from tinysegrank.nn.arguments import half_in_float32


def weighted(terms: Sequence[tuple[float, Loss]]) -> Loss:
    """Return the loss that sums factor * loss over the terms; a negative factor turns a gain into a loss.

    The returned loss takes min_mass=, and passes it to the terms that take it.

    Raises:
        ConfigError: there are no terms.
    """
    if not terms:
        raise ConfigError("weighted: give at least one (factor, loss)")
    return partial(_weighted_sum, tuple(terms))


@half_in_float32
def _weighted_sum(
    terms: tuple[tuple[float, Loss], ...],
    z: Array,
    target: Array,
    weight: Array | None = None,
    *,
    counts: CorpusCounts | None = None,
    min_mass: float | None = None,
) -> tuple[Array, Array]:
    parts = [(factor, _bind(loss, min_mass)(z, target, weight, counts=counts)) for factor, loss in terms]
    value = sum(factor * part for factor, (part, _) in parts)
    grad_z = sum(factor * gradient for factor, (_, gradient) in parts)
    return value, grad_z


def _bind(loss: Any, min_mass: float | None) -> Loss:
    """Return the loss with its `min_mass` fixed, or the loss itself if it has none or `min_mass` is None."""
    takes_it = min_mass is not None and "min_mass" in signature(loss).parameters
    return partial(loss, min_mass=min_mass) if takes_it else loss


TABLE: dict[str, Loss] = {
    "ce": soft_cross_entropy,
    "uoi": uoi,
    "iou": weighted([(-1.0, iou)]),
    "uoi+ce": weighted([(0.7, uoi), (0.3, soft_cross_entropy)]),
    "soft_dice": soft_dice,
    "lovasz_softmax": lovasz_softmax,
}
"""Add a loss of your own as `losses.TABLE["mine"] = mine`."""


def named(name: str, *, min_mass: float = 0.5) -> Loss:
    """Return the loss of the table with this name; its `min_mass` is fixed if it takes one.

    Raises:
        ConfigError: the name is unknown.
    """
    return _bind(look_up(TABLE, name, "loss"), min_mass)
