"""Weighted sums of losses, such as the paper's 0.7 UOI + 0.3 CE."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tinysegrank.backend import Array
from tinysegrank.errors import ConfigError
from tinysegrank.losses.counts import CorpusCounts, Loss


def weighted(terms: Sequence[tuple[float, Loss]]) -> Loss:
    """A loss that is the sum of factor times loss; a negative factor turns a gain into a loss.

    Raises:
        ConfigError: no terms.
    """
    if not terms:
        raise ConfigError("weighted: give at least one (factor, loss)")
    return partial(_weighted_sum, tuple(terms))


def _weighted_sum(
    terms: tuple[tuple[float, Loss], ...],
    z: Array,
    target: Array,
    weight: Array | None = None,
    *,
    counts: CorpusCounts | None = None,
) -> tuple[Array, Array]:
    parts = [(factor, loss(z, target, weight, counts=counts)) for factor, loss in terms]
    value = sum(factor * part for factor, (part, _) in parts)
    grad_z = sum(factor * gradient for factor, (_, gradient) in parts)
    return value, grad_z
