"""Weighted sums of losses, such as the paper's 0.7 UOI + 0.3 CE."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from inspect import signature
from typing import Any

from tinysegrank.backend import Array
from tinysegrank.errors import ConfigError
from tinysegrank.losses.counts import CorpusCounts, Loss
from tinysegrank.nn.arguments import half_in_float32


def weighted(terms: Sequence[tuple[float, Loss]]) -> Loss:
    """Return the loss that sums factor * loss over the terms; a negative factor turns a gain into a loss.

    If the result is called with min_mass=, it is passed to those losses that take it.

    Raises:
        ConfigError: there are no terms.
    """
    if not terms:
        raise ConfigError("weighted: give at least one (factor, loss)")
    return partial(_weighted_sum, tuple(terms))


def bind(loss: Loss, **options: Any) -> Loss:
    """Fix options of a loss in advance, ignoring those that it doesn't take; return the resulting loss."""
    taken = signature(loss).parameters.keys() & options.keys()
    return partial(loss, **{name: options[name] for name in taken})


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
    options: dict[str, Any] = {} if min_mass is None else {"min_mass": min_mass}
    parts = [(factor, bind(loss, **options)(z, target, weight, counts=counts)) for factor, loss in terms]
    value = sum(factor * part for factor, (part, _) in parts)
    grad_z = sum(factor * gradient for factor, (_, gradient) in parts)
    return value, grad_z
