"""Layers one after the other with nothing kept: all that evaluation needs, and the frozen layers below a training."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.fast import takes_twin

if TYPE_CHECKING:
    from tinysegrank.nn.layer import Generator, Layer, Sequential

Filters = dict[tuple[int, int], np.ndarray]


def evaluate(layers: Sequence[Layer], x: Array, *, rng: Generator = None, filters: Filters | None = None) -> Array:
    """Run layers and keep nothing of what they make.

    x | (N, ...) | floating | input of the first layer

    Args:
        layers: in order.
        rng: for dropout; None is evaluation.
        filters: where the twin keeps filters that it has transformed, for calls on the same layers with the same
            parameters.
    """
    if takes_twin(x):
        from tinysegrank.nn.fast import evaluation

        return evaluation.evaluate(layers, x, rng=rng, filters={} if filters is None else filters)
    for layer in layers:
        x, _ = layer.forward(x, rng=rng)
    return x


class Prepared:
    """A network as it is now, for many evaluations: `prepared(x)` is what `network(x)` is at this moment.

    The first call transforms the filters, which with one image takes longer than the rest. Prepare again what has been
    trained further.
    """

    def __init__(self, network: Sequential) -> None:
        self._layers = [_as_it_is(layer) for layer in network.layers.values()]
        self._filters: Filters = {}

    def __call__(self, x: Array) -> Array:
        """Evaluate: no dropout, nothing kept of the activations."""
        return evaluate(self._layers, x, filters=self._filters)


def _as_it_is(layer: Layer) -> Layer:
    """The layer with its present parameters, whatever it is assigned later."""
    from tinysegrank.nn.layer import Sequential

    held = copy(layer)
    if isinstance(held, Sequential):
        held.layers = {name: _as_it_is(inner) for name, inner in held.layers.items()}
    else:
        held.parameters = dict(layer.parameters)
    return held
