"""Networks that run layers in order: `Sequential` for training, `Prepared` for many evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError
from tinysegrank.nn.evaluate import evaluate
from tinysegrank.nn.fast import Kept
from tinysegrank.nn.layer import Generator, Gradients, Layer
from tinysegrank.nn.torch_names import Described, count_parameters


class Sequential(Described):
    """A network that runs layers in order; some may be frozen.

    The backward pass stops at the lowest layer that is trained, and no contexts are kept below it, unless
    `input_gradient` asks for the gradient with respect to the input. Frozen layers above it only pass the gradient on.
    Parameters are named "layer.parameter". A Sequential is a layer too; inside another one it needs `input_gradient`,
    unless nothing below it is trained.

    Args:
        layers: name to layer, in order; names without a dot. Or a list of layers, or the layers as arguments of their
            own, whose names are "0", "1", ...
        frozen: names of layers whose parameters are not trained.
        input_gradient: whether `backward` also returns the gradient with respect to the input.

    Raises:
        ShapeError: something is not a layer, a name has a dot, or `frozen` has a name that isn't a layer's.
    """

    def __init__(
        self,
        *layers: Mapping[str, Layer] | Iterable[Layer] | Layer,
        frozen: Iterable[str] = (),
        input_gradient: bool = False,
    ) -> None:
        given: Any = layers[0] if len(layers) == 1 and not isinstance(layers[0], Layer) else layers
        self.layers: dict[str, Layer] = dict(given if isinstance(given, Mapping) else _numbered(given))
        for name, layer in self.layers.items():
            if not isinstance(layer, Layer):
                raise ShapeError(
                    f"layer {name}: {type(layer).__name__} has no parameters, forward and backward, see nn.Layer"
                )
        self.frozen = frozenset(frozen)
        self.input_gradient = input_gradient
        if dotted := [name for name in self.layers if "." in name]:
            raise ShapeError(f"layers={dotted}: a dot separates layer and parameter; choose names without one")
        if unknown := self.frozen - self.layers.keys():
            raise ShapeError(f"frozen={sorted(unknown)}: no such layers; there are {', '.join(self.layers)}")

    @property
    def parameters(self) -> dict[str, Array]:
        """All parameters, frozen ones too."""
        return {f"{n}.{p}": array for n, layer in self.layers.items() for p, array in layer.parameters.items()}

    @property
    def num_parameters(self) -> int:
        """Number of numbers in all parameters."""
        return count_parameters(self.parameters)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Layer:
        """Return a layer by its place."""
        return list(self.layers.values())[index]

    def __repr__(self) -> str:
        lines = [f"{name}: {layer!r}".replace("\n", "\n  ") for name, layer in self.layers.items()]
        inside = "".join(f"\n  {line}" for line in lines)
        return f"Sequential({inside}\n), {self.num_parameters:,} parameters"

    @property
    def trainable(self) -> dict[str, Array]:
        """The parameters that are not frozen."""
        return {f"{name}.{p}": array for name in self.layers for p, array in self._trained(name).items()}

    def assign(self, parameters: Mapping[str, Array]) -> None:
        """Replace parameters by name.

        Raises:
            ShapeError: a name is unknown, or an array's shape is not that of the parameter it replaces.
        """
        held = self.parameters
        for name, array in parameters.items():
            if name not in held or tuple(array.shape) != tuple(held[name].shape):
                expected = f"of shape {tuple(held[name].shape)}" if name in held else f"among {', '.join(held)}"
                raise ShapeError(f"parameter {name} of shape {tuple(array.shape)}: expected one {expected}")
        for name, array in parameters.items():
            owner, _, parameter = name.partition(".")
            layer = self.layers[owner]
            if isinstance(layer, Sequential):
                layer.assign({parameter: array})
            else:
                layer.parameters[parameter] = array

    def __call__(self, x: Array) -> Array:
        """Evaluate the network: no dropout, and no activations kept."""
        return evaluate(list(self.layers.values()), x)

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, list[Any]]:
        """Run the layers; return the output, and as context a list with an entry per layer that `backward` visits."""
        contexts, layers, first = [], list(self.layers.values()), self._lowest()
        x = evaluate(layers[:first], x, rng=rng)
        for layer in layers[first:]:
            x, context = layer.forward(x, rng=rng)
            contexts.append(context)
        return x, contexts

    def backward(
        self, gradient: Array, context: list[Any], *, needs_input: bool = True, needs_parameters: bool = True
    ) -> tuple[Array | None, Gradients]:
        """Run the layers' backward passes, from the last layer down to the lowest whose gradient is needed.

        Return the gradient with respect to the input (None without `input_gradient`) and those with respect to the
        trainable parameters, by name.
        """
        needs_input = needs_input and self.input_gradient
        names, first = list(self.layers), self._lowest()
        last = 0 if needs_input else self._lowest_trained() if needs_parameters else len(names)
        gradients: Gradients = {}
        gx: Array | None = gradient
        for index in range(len(names) - 1, last - 1, -1):
            name = names[index]
            if gx is None:
                raise ShapeError(f"layer {names[index + 1]} returned no gradient for {name} below it")
            needs = {
                "needs_input": index > last or needs_input,
                "needs_parameters": needs_parameters and name not in self.frozen,
            }
            gx, own = self.layers[name].backward(gx, context[index - first], **needs)
            if needs["needs_parameters"]:
                gradients |= {f"{name}.{parameter}": array for parameter, array in own.items()}
        return (gx if needs_input else None), gradients

    def _trained(self, name: str) -> dict[str, Array]:
        """Return the parameters of a layer that are not frozen."""
        layer = self.layers[name]
        return {} if name in self.frozen else getattr(layer, "trainable", layer.parameters)

    def _lowest_trained(self) -> int:
        """Return the index of the lowest trained layer; the number of layers if none is."""
        return next((i for i, name in enumerate(self.layers) if self._trained(name)), len(self.layers))

    def _lowest(self) -> int:
        """Return the index of the lowest layer that the backward pass may visit, the first whose context is kept."""
        return 0 if self.input_gradient else self._lowest_trained()


class Prepared:
    """A copy of a network with its present parameters, for many evaluations: `prepared(x)` equals `network(x)` now.

    The first call transforms the filters and caches them; for one image this takes longer than the rest of the call.
    After further training, prepare the network again.
    """

    def __init__(self, network: Sequential) -> None:
        self._layers = [_as_it_is(layer) for layer in network.layers.values()]
        self._kept = Kept()

    def __call__(self, x: Array) -> Array:
        """Evaluate the network: no dropout, and no activations kept."""
        return evaluate(self._layers, x, kept=self._kept)


def _numbered(layers: Iterable[Layer]) -> dict[str, Layer]:
    return {str(number): layer for number, layer in enumerate(layers)}


def _as_it_is(layer: Layer) -> Layer:
    """Copy a layer, so that parameters assigned to it later don't change the copy."""
    held = copy(layer)
    if isinstance(held, Sequential):
        held.layers = {name: _as_it_is(inner) for name, inner in held.layers.items()}
    else:
        held.parameters = dict(layer.parameters)
    return held
