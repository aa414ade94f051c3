"""Layers: thin classes that hold parameters and options and call the functions of this package.

A layer is anything with `parameters` (a dict of arrays), `forward(x, *, rng=None) -> (y, context)` and
`backward(gradient, context, *, needs_input=True, needs_parameters=True) -> (gx, {name: gradient})`. Layers keep no
activations: the caller keeps the context, so one layer can be used twice, and evaluation needs no memory for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.conv import conv2d, conv2d_backward
from tinysegrank.nn.dropout import dropout, dropout_backward
from tinysegrank.nn.lrn import local_response_norm, local_response_norm_backward
from tinysegrank.nn.pool import max_pool2d, max_pool2d_backward
from tinysegrank.nn.relu import relu, relu_backward
from tinysegrank.nn.softmax import softmax, softmax_backward
from tinysegrank.nn.windows import Pair

Generator: TypeAlias = np.random.Generator | None
Gradients: TypeAlias = dict[str, Array]


@runtime_checkable
class Layer(Protocol):  # pragma: no mutate block
    """Protocol of the layers in a `Sequential`; write your own and check it with `testing.check_backward`."""

    parameters: dict[str, Array]

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:
        """Return the output and the context for `backward`; `rng` is given in training only."""

    def backward(
        self, gradient: Array, context: Any, *, needs_input: bool = True, needs_parameters: bool = True
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients with respect to the input (None if not needed) and to each parameter ({} if not needed).

        Gradients that aren't needed are ignored, so a layer may also accept `**needs` and always return all of them.
        """


class Conv2d:
    """Layer that applies `conv2d` with its own weight (F, C/groups, KH, KW) and bias (F,)."""

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
    """A layer without parameters, made of a forward function, a backward function and their options."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[[Array, Any], Array], **options: Any) -> None:
        self.parameters: dict[str, Array] = {}
        self.options = options
        self._forward, self._backward = forward, backward

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:  # noqa: ARG002
        """Call the forward function."""
        y, context = self._forward(x, **self.options)
        return y, context

    def backward(
        self, gradient: Array, context: Any, *, needs_input: bool = True, **_: bool
    ) -> tuple[Array | None, Gradients]:
        """Call the backward function if the input's gradient is needed."""
        return (self._backward(gradient, context) if needs_input else None), {}


class MaxPool2d(_Function):
    """Layer that applies `max_pool2d`."""

    def __init__(self, *, size: int | Pair = 3, stride: int | Pair = 2, ceil_mode: bool = True) -> None:
        super().__init__(max_pool2d, max_pool2d_backward, size=size, stride=stride, ceil_mode=ceil_mode)


class LocalResponseNorm(_Function):
    """Layer that applies `local_response_norm`."""

    def __init__(self, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__(local_response_norm, local_response_norm_backward, size=size, alpha=alpha, beta=beta, k=k)


class ReLU(_Function):
    """Layer that applies `relu`."""

    def __init__(self) -> None:
        super().__init__(relu, relu_backward)


class Softmax(_Function):
    """Layer that applies `softmax`."""

    def __init__(self, *, axis: int = 1) -> None:
        super().__init__(softmax, softmax_backward, axis=axis)


class Dropout(_Function):
    """Layer that applies `dropout`, if `forward` is given a generator."""

    def __init__(self, *, p: float = 0.5) -> None:
        super().__init__(dropout, dropout_backward, p=p)

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:
        """See `dropout`."""
        y, context = self._forward(x, rng=rng, **self.options)
        return y, context
