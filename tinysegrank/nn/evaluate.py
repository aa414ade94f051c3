"""Layers one after the other with nothing kept: all that evaluation needs, and the frozen layers below a training."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.fast import takes_twin

if TYPE_CHECKING:
    from tinysegrank.nn.layer import Generator, Layer, Sequential


class Kept:
    """What the twin keeps from one call to the next, on the same layers with the same parameters.

    Attributes:
        filters: transformed ones, by a layer's place and the number of points.
        programs: the shape of the input and what is done with it, by the first layer's place.
        lock: for who uses the programs.
    """

    def __init__(self) -> None:
        self.filters: dict[tuple[int, int], np.ndarray] = {}
        self.programs: dict[int, tuple[tuple[int, ...], Any]] = {}
        self.lock = Lock()


def evaluate(layers: Sequence[Layer], x: Array, *, rng: Generator = None, kept: Kept | None = None) -> Array:
    """Run layers and keep nothing of what they make.

    x | (N, ...) | floating | input of the first layer

    Args:
        layers: in order.
        rng: for dropout; None is evaluation.
        kept: where the twin keeps what serves later calls on the same layers with the same parameters.
    """
    if takes_twin(x):
        from tinysegrank.nn.fast import evaluation

        kept = Kept() if kept is None else kept
        with kept.lock:
            return evaluation.evaluate(layers, x, rng=rng, kept=kept)
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
        self._kept = Kept()

    def __call__(self, x: Array) -> Array:
        """Evaluate: no dropout, nothing kept of the activations."""
        return evaluate(self._layers, x, kept=self._kept)


def _as_it_is(layer: Layer) -> Layer:
    """The layer with its present parameters, whatever it is assigned later."""
    from tinysegrank.nn.layer import Sequential

    held = copy(layer)
    if isinstance(held, Sequential):
        held.layers = {name: _as_it_is(inner) for name, inner in held.layers.items()}
    else:
        held.parameters = dict(layer.parameters)
    return held
