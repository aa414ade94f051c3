"""Networks that run layers in order: `Sequential` for training, `Prepared` for many evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from math import prod
from typing import Any

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError
from tinysegrank.nn.evaluate import evaluate
from tinysegrank.nn.fast import Kept
from tinysegrank.nn.layer import Generator, Gradients, Layer
from tinysegrank.nn.torch_names import Described


class Sequential(Described):
    """A network that runs layers in order; some may be frozen.

    Without `input_gradient`, the backward pass stops at the lowest trained layer (the one nearest the input), and
    `forward` returns contexts only of the layers from there on. Frozen layers above it pass the gradient on. Parameters
    are named "layer.parameter". A Sequential may be a layer of another: give it `input_gradient=True` if the outer one
    trains a layer below it or has `input_gradient`.

    Args:
        layers: a mapping of names, which must not contain a dot, to layers in order; or a list of layers, or each layer
            as an argument, with the names "0", "1", ...
        frozen: names of layers whose parameters are not trained.
        input_gradient: whether `backward` also returns the gradient with respect to the input.

    Raises:
        ShapeError: one of `layers` is not a layer, a name has a dot, or `frozen` has a name that isn't a layer's.
    """

    def __init__(
        self,
        *layers: Mapping[str, Layer] | Iterable[Layer] | Layer,
        frozen: Iterable[str] = (),
        input_gradient: bool = False,
    ) -> None:
        given: Any = layers[0] if len(layers) == 1 and not isinstance(layers[0], Layer) else layers
        named = given.items() if isinstance(given, Mapping) else ((str(i), layer) for i, layer in enumerate(given))
        self.layers: dict[str, Layer] = dict(named)
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
        """All parameters by name, frozen ones too."""
        return {f"{n}.{p}": array for n, layer in self.layers.items() for p, array in layer.parameters.items()}

    @property
    def num_parameters(self) -> int:
        """Number of entries of all parameters together."""
        return sum(prod(array.shape) for array in self.parameters.values())

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Layer:
        """Return the layer at an index, 0 for the first."""
        return list(self.layers.values())[index]

    def __repr__(self) -> str:
        lines = [f"{name}: {layer!r}".replace("\n", "\n  ") for name, layer in self.layers.items()]
        inside = "".join(f"\n  {line}" for line in lines)
        return f"Sequential({inside}\n), {self.num_parameters:,} parameters"

    @property
    def trainable(self) -> dict[str, Array]:
        """The parameters that are not frozen, by name."""
        return {f"{name}.{p}": array for name in self.layers for p, array in self._trained(name).items()}

    def assign(self, parameters: Mapping[str, Array]) -> None:
        """Replace the named parameters by the given arrays; keep the others.

        Raises:
            ShapeError: a name is unknown or an array has another shape; no parameter is replaced then.
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
        """Return the output for x, without dropout and without keeping activations."""
        return evaluate(list(self.layers.values()), x)

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, list[Any]]:
        """Return the output for x, and the contexts of the layers that `backward` may visit, from the lowest on."""
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

        Return the gradient with respect to the input (None if not needed or without `input_gradient`), and those with
        respect to the trainable parameters by name ({} if not needed).

        Raises:
            ShapeError: a layer returns no gradient with respect to its input where one is needed.
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
            layer, trained = self.layers[name], needs_parameters and name not in self.frozen
            needs = {"needs_input": index > last or needs_input, "needs_parameters": trained}
            gx, own = layer.backward(gx, context[index - first], **needs)
            if trained:
                gradients |= {f"{name}.{parameter}": array for parameter, array in own.items()}
        if needs_input and gx is None:
            raise ShapeError(f"layer {names[0]} returned no gradient of the input; make it with input_gradient=True")
        return (gx if needs_input else None), gradients

    def _trained(self, name: str) -> dict[str, Array]:
        """Return the parameters of the layer `name` that are not frozen, without the layer in their names."""
        layer = self.layers[name]
        return {} if name in self.frozen else getattr(layer, "trainable", layer.parameters)

    def _lowest_trained(self) -> int:
        """Return the index of the first layer with trainable parameters, or the number of layers if none has any."""
        return next((i for i, name in enumerate(self.layers) if self._trained(name)), len(self.layers))

    def _lowest(self) -> int:
        """Return the index of the first layer that `backward` may visit, and whose context `forward` keeps."""
        return 0 if self.input_gradient else self._lowest_trained()


class Prepared:
    """A copy of a network with its present parameters, for many evaluations: `prepared(x)` equals `network(x)` now.

    With the Numba version, the first call transforms the filters, which for one image takes longer than the rest of
    the call, and keeps them. After further training, prepare the network again.
    """

    def __init__(self, network: Sequential) -> None:
        self._layers = [_as_it_is(layer) for layer in network.layers.values()]
        self._kept = Kept()

    def __call__(self, x: Array) -> Array:
        """Return the output for x, without dropout and without keeping activations."""
        return evaluate(self._layers, x, kept=self._kept)


def _as_it_is(layer: Layer) -> Layer:
    """Copy a layer, so that parameters assigned to it later don't change the copy."""
    held = copy(layer)
    if isinstance(held, Sequential):
        held.layers = {name: _as_it_is(inner) for name, inner in held.layers.items()}
    else:
        held.parameters = dict(layer.parameters)
    return held
