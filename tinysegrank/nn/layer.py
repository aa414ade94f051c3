"""Layers: thin shells that hold parameters and call the functions of this package, and their composition.

A layer is anything with `parameters` (a dict of arrays), `forward(x, *, rng=None) -> (y, context)` and
`backward(gradient, context, *, needs_input=True, needs_parameters=True) -> (gx, {name: gradient})`. Layers keep no
activations: the context is the caller's, so one layer may be used twice, and what is not kept is not paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError
from tinysegrank.nn.conv import conv2d, conv2d_backward
from tinysegrank.nn.dropout import dropout, dropout_backward
from tinysegrank.nn.evaluate import evaluate
from tinysegrank.nn.lrn import local_response_norm, local_response_norm_backward
from tinysegrank.nn.pool import max_pool2d, max_pool2d_backward
from tinysegrank.nn.relu import relu, relu_backward
from tinysegrank.nn.softmax import softmax, softmax_backward
from tinysegrank.nn.windows import Pair

Generator: TypeAlias = np.random.Generator | None
Gradients: TypeAlias = dict[str, Array]


@runtime_checkable
class Layer(Protocol):  # pragma: no mutate block
    """What `Sequential` asks of a layer; write your own to this and check it with `testing.check_backward`."""

    parameters: dict[str, Array]

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:
        """Return the output and what `backward` needs; `rng` is given in training only."""

    def backward(
        self, gradient: Array, context: Any, *, needs_input: bool = True, needs_parameters: bool = True
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients with respect to the input (None if not needed) and to each parameter ({} if not needed).

        What is returned without need is dropped, so a layer that has no work to save may take `**needs` and not look.
        """


class Conv2d:
    """`conv2d` with its weight (F, C/groups, KH, KW) and bias (F,)."""

    def __init__(
        self, weight: Array, bias: Array, *, stride: int | Pair = 1, padding: int | Pair = 0, groups: int = 1
    ) -> None:
        self.parameters: dict[str, Array] = {"weight": weight, "bias": bias}
        self.stride, self.padding, self.groups = stride, padding, groups

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:  # noqa: ARG002
        """See `conv2d`."""
        weight, bias = self.parameters["weight"], self.parameters["bias"]
        return conv2d(x, weight, bias, stride=self.stride, padding=self.padding, groups=self.groups)

    def backward(
        self, gradient: Array, context: Any, *, needs_input: bool = True, needs_parameters: bool = True
    ) -> tuple[Array | None, Gradients]:
        """See `conv2d_backward`."""
        needs = (needs_input, needs_parameters, needs_parameters)
        gx, gweight, gbias = conv2d_backward(gradient, context, needs=needs)
        return gx, ({"weight": gweight, "bias": gbias} if needs_parameters else {})


class _Function:
    """A layer without parameters: a pair of functions and their options."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[[Array, Any], Array], **options: Any) -> None:
        self.parameters: dict[str, Array] = {}
        self.options = options
        self._forward, self._backward = forward, backward

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:  # noqa: ARG002
        """See the function of the same name."""
        y, context = self._forward(x, **self.options)
        return y, context

    def backward(
        self, gradient: Array, context: Any, *, needs_input: bool = True, **_: bool
    ) -> tuple[Array | None, Gradients]:
        """See the function of the same name."""
        return (self._backward(gradient, context) if needs_input else None), {}


class MaxPool2d(_Function):
    """`max_pool2d`."""

    def __init__(self, *, size: int | Pair = 3, stride: int | Pair = 2, ceil_mode: bool = True) -> None:
        super().__init__(max_pool2d, max_pool2d_backward, size=size, stride=stride, ceil_mode=ceil_mode)


class LocalResponseNorm(_Function):
    """`local_response_norm`."""

    def __init__(self, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__(local_response_norm, local_response_norm_backward, size=size, alpha=alpha, beta=beta, k=k)


class ReLU(_Function):
    """`relu`."""

    def __init__(self) -> None:
        super().__init__(relu, relu_backward)


class Softmax(_Function):
    """`softmax`."""

    def __init__(self, *, axis: int = 1) -> None:
        super().__init__(softmax, softmax_backward, axis=axis)


class Dropout(_Function):
    """`dropout`: active only where `forward` is given a generator."""

    def __init__(self, *, p: float = 0.5) -> None:
        super().__init__(dropout, dropout_backward, p=p)

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:
        """See `dropout`."""
        y, context = self._forward(x, rng=rng, **self.options)
        return y, context


class Sequential:
    """Layers one after the other, some of them frozen.

    Nothing is kept or computed for layers below the lowest one that is trained, unless `input_gradient` asks for the
    gradient with respect to the input; above it, frozen layers only hand the gradient down. Parameters are named
    "layer.parameter". A Sequential is a layer too; inside another one it needs `input_gradient`, unless nothing below
    it is trained.

    Args:
        layers: name to layer, in order; names without a dot.
        frozen: names of layers whose parameters get no gradient.
        input_gradient: whether `backward` also returns the gradient with respect to the input.

    Raises:
        ShapeError: a name has a dot, or `frozen` names no layer.
    """

    def __init__(
        self, layers: Mapping[str, Layer], *, frozen: Iterable[str] = (), input_gradient: bool = False
    ) -> None:
        self.layers = dict(layers)
        self.frozen = frozenset(frozen)
        self.input_gradient = input_gradient
        if dotted := [name for name in self.layers if "." in name]:
            raise ShapeError(f"layers={dotted}: a dot divides layer from parameter, so take names without one")
        if unknown := self.frozen - self.layers.keys():
            raise ShapeError(f"frozen={sorted(unknown)}: no such layers; there are {', '.join(self.layers)}")

    @property
    def parameters(self) -> dict[str, Array]:
        """All parameters, frozen ones too."""
        return {f"{n}.{p}": array for n, layer in self.layers.items() for p, array in layer.parameters.items()}

    @property
    def trainable(self) -> dict[str, Array]:
        """The parameters that are not frozen."""
        return {f"{name}.{p}": array for name in self.layers for p, array in self._trained(name).items()}

    def assign(self, parameters: Mapping[str, Array]) -> None:
        """Replace parameters by name.

        Raises:
            ShapeError: an unknown name, or another shape than the one held.
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
        """Evaluate: no dropout, nothing kept."""
        return evaluate(list(self.layers.values()), x)

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, list[Any]]:
        """Run the layers; the context is a list with one entry for each layer that `backward` will visit."""
        contexts, layers, first = [], list(self.layers.values()), self._lowest()
        x = evaluate(layers[:first], x, rng=rng)
        for layer in layers[first:]:
            x, context = layer.forward(x, rng=rng)
            contexts.append(context)
        return x, contexts

    def backward(
        self, gradient: Array, context: list[Any], *, needs_input: bool = True, needs_parameters: bool = True
    ) -> tuple[Array | None, Gradients]:
        """Run the layers' backward passes from the last to the lowest that is needed, each for what is needed of it.

        Returns the gradient with respect to the input (None without `input_gradient`) and those of the trainable
        parameters, by name.
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
        """The parameters of a layer that are not frozen."""
        layer = self.layers[name]
        return {} if name in self.frozen else getattr(layer, "trainable", layer.parameters)

    def _lowest_trained(self) -> int:
        """Index of the lowest layer with a parameter that is not frozen."""
        return next((i for i, name in enumerate(self.layers) if self._trained(name)), len(self.layers))

    def _lowest(self) -> int:
        """Index of the lowest layer that the backward pass may visit, and so the first whose context is kept."""
        return 0 if self.input_gradient else self._lowest_trained()
