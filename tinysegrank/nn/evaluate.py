"""Layers one after the other with nothing kept: all that evaluation needs, and the frozen layers below a training."""

from __future__ import annotations

from collections.abc import Sequence

from tinysegrank.backend import Array
from tinysegrank.nn.fast import Kept, Step, takes_twin
from tinysegrank.nn.layer import Conv2d, Dropout, Generator, Layer, LocalResponseNorm, MaxPool2d, ReLU


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
            return evaluation.evaluate([_step(layer) for layer in layers], x, rng=rng, kept=kept)
    for layer in layers:
        x, _ = layer.forward(x, rng=rng)
    return x


def _step(layer: Layer) -> Step:
    """Describe a layer to the twin; of a kind that it does not know, a subclass included, only `forward` counts."""
    if type(layer) is Conv2d:
        options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
        return Step("convolution", layer.forward, layer.parameters, options)
    if type(layer) is MaxPool2d:
        return Step("pooling", layer.forward, {}, layer.options)
    if type(layer) is LocalResponseNorm:
        return Step("normalisation", layer.forward, {}, layer.options)
    kind = "relu" if type(layer) is ReLU else "dropout" if type(layer) is Dropout else "other"
    return Step(kind, layer.forward, {}, {})
