"""Run layers without keeping activations, for evaluation and for frozen layers below those that are trained."""

from __future__ import annotations

from collections.abc import Sequence

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import pair
from tinysegrank.nn.cuda import evaluate as cuda
from tinysegrank.nn.cuda import uses_cuda
from tinysegrank.nn.fast import Kept, Step, uses_numba
from tinysegrank.nn.layer import Conv2d, Dropout, Generator, Layer, LocalResponseNorm, MaxPool2d, ReLU

_KINDS = {Dropout: "dropout", LocalResponseNorm: "normalisation", MaxPool2d: "pooling", ReLU: "relu"}


def evaluate(layers: Sequence[Layer], x: Array, *, rng: Generator = None, kept: Kept | None = None) -> Array:
    """Run layers in order without keeping activations, and return the output of the last.

    x | (N, ...) | floating | input of the first layer, returned as it is if there are no layers

    Args:
        layers: in order.
        rng: draws the dropout; None is evaluation, without dropout.
        kept: cache of the Numba version, which only calls with the same layers and the same parameters may share.
    """
    if uses_numba(x):
        from tinysegrank.nn.fast import evaluation

        kept = Kept() if kept is None else kept
        with kept.lock:
            return evaluation.evaluate([_step(layer) for layer in layers], x, rng=rng, kept=kept)
    if uses_cuda(x):
        return cuda.evaluate([_step(layer) for layer in layers], x, rng=rng)
    for layer in layers:
        x, _ = layer.forward(x, rng=rng)
    return x


def _step(layer: Layer) -> Step:
    """Describe a layer for the faster versions; subclasses, convolutions without bias and other classes are "other"."""
    if type(layer) is Conv2d and "bias" in layer.parameters:
        stride = pair(layer.stride, name="stride", least=1)
        options = {"stride": stride, "padding": layer.padding, "groups": layer.groups}
        return Step("convolution", layer.forward, layer.parameters, options)
    return Step(_KINDS.get(type(layer), "other"), layer.forward, {}, getattr(layer, "options", {}))
