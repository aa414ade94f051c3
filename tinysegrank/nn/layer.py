"""Layers: thin classes that hold parameters and options and call the functions of this package.

A layer is anything with `parameters` (a dict of arrays), `forward(x, *, rng=None) -> (y, context)` and
`backward(gradient, context, *, needs_input=True, needs_parameters=True) -> (gx, {name: gradient})`. Layers keep no
activations: the caller keeps the context, or drops it in evaluation. So one layer can be used several times in a
network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np

from tinysegrank.backend import Array, Backend, get_backend
from tinysegrank.errors import ShapeError
from tinysegrank.nn.arguments import Pair, pair
from tinysegrank.nn.conv import conv2d, conv2d_backward
from tinysegrank.nn.dropout import dropout, dropout_backward
from tinysegrank.nn.lrn import local_response_norm, local_response_norm_backward
from tinysegrank.nn.pool import max_pool2d, max_pool2d_backward
from tinysegrank.nn.relu import relu, relu_backward
from tinysegrank.nn.softmax import softmax, softmax_backward
from tinysegrank.nn.torch_names import Described

Generator: TypeAlias = np.random.Generator | None
Gradients: TypeAlias = dict[str, Array]


@runtime_checkable
class Layer(Protocol):  # pragma: no mutate block
    """Protocol of the layers in a `Sequential`; write your own and check it with `testing.check_backward`."""

    parameters: dict[str, Array]

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:
        """Return the output for x, and the context for `backward`; `rng` is None except in training."""

    def backward(
        self, gradient: Array, context: Any, *, needs_input: bool = True, needs_parameters: bool = True
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients with respect to the input (None if not needed) and to each parameter ({} if not needed).

        The caller ignores gradients that it doesn't need, so a layer may accept `**needs` and always return all.
        """


class Conv2d(Described):
    """Layer that applies `conv2d` with a weight (F, C/groups, KH, KW) and a bias (F,), or no bias if it is None.

    Raises:
        ShapeError: sizes are given instead of arrays; `Conv2d.initialised` takes sizes.
    """

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        *sizes: int,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        groups: int = 1,
    ) -> None:
        if sizes or not hasattr(weight, "shape"):
            raise ShapeError(
                "Conv2d takes arrays, weight (F, C/groups, KH, KW) and bias (F,) or None; random ones are made by"
                " Conv2d.initialised(channels, filters, size, rng=rng)"
            )
        self.parameters: dict[str, Array] = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        self.stride, self.padding, self.groups = stride, padding, groups

    @classmethod
    def initialised(
        cls,
        channels: int,
        filters: int,
        size: int | Pair,
        *,
        rng: np.random.Generator,
        bias: bool = True,
        deviation: float | None = None,
        backend: Backend | None = None,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        groups: int = 1,
    ) -> Self:
        """Return a layer with Gaussian weights of mean 0 and a bias of zeros, in float32.

        Args:
            channels: number of channels of the input, C.
            filters: number of filters, F.
            size: size of the filters, one integer or (height, width).
            rng: draws the weights.
            bias: whether the layer has a bias.
            deviation: standard deviation of the weights; by default sqrt(2 / fan-in), as He et al. choose it for ReLU,
                where fan-in = C/groups * height * width.
            backend: makes the arrays; by default the one that TINYSEGRANK_BACKEND names.
            stride, padding, groups: options of `conv2d`.

        Raises:
            ShapeError: size is not one or two positive integers.
        """
        backend, shape = backend or get_backend(), (filters, channels // groups, *pair(size, name="size", least=1))
        deviation = float(np.sqrt(2 / np.prod(shape[1:]))) if deviation is None else deviation
        weight = backend.asarray(rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation))
        zeros = backend.asarray(np.zeros(filters, np.float32)) if bias else None
        return cls(weight, zeros, stride=stride, padding=padding, groups=groups)

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:  # noqa: ARG002
        """Return the convolution of x with the weight and bias, and the context for `backward`; ignore `rng`."""
        weight, bias = self.parameters["weight"], self.parameters.get("bias")
        return conv2d(x, weight, bias, stride=self.stride, padding=self.padding, groups=self.groups)

    def backward(
        self, gradient: Array, context: Any, *, needs_input: bool = True, needs_parameters: bool = True
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients with respect to x (None if not needed), and to the parameters ({} if not needed)."""
        needs = (needs_input, needs_parameters, needs_parameters and "bias" in self.parameters)
        gx, gweight, gbias = conv2d_backward(gradient, context, needs=needs)
        gradients = {"weight": gweight, "bias": gbias}
        return gx, ({name: gradients[name] for name in self.parameters} if needs_parameters else {})

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.parameters["weight"].shape))
        options = f"stride={self.stride}, padding={self.padding}, groups={self.groups}"
        return f"Conv2d({shape}, {'' if 'bias' in self.parameters else 'no bias, '}{options})"


class _Function(Described):
    """A layer without parameters, made of a forward function, a backward function and their options."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[[Array, Any], Array], **options: Any) -> None:
        self.parameters: dict[str, Array] = {}
        self.options = options
        self._forward, self._backward = forward, backward

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self.options.items())})"

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:  # noqa: ARG002
        """Return the forward function's output for x, and its context; ignore `rng`."""
        return self._forward(x, **self.options)

    def backward(
        self, gradient: Array, context: Any, *, needs_input: bool = True, **_: bool
    ) -> tuple[Array | None, Gradients]:
        """Return the gradient with respect to the input (None if not needed), and {}."""
        return (self._backward(gradient, context) if needs_input else None), {}


class MaxPool2d(_Function):
    """Layer that applies `max_pool2d`."""

    def __init__(self, *, size: int | Pair = 3, stride: int | Pair = 2, ceil_mode: bool = True) -> None:
        super().__init__(max_pool2d, max_pool2d_backward, size=size, stride=stride, ceil_mode=ceil_mode)


class LocalResponseNorm(_Function):
    """Layer that applies `local_response_norm`."""

    def __init__(self, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__(local_response_norm, local_response_norm_backward, size=size, alpha=alpha, beta=beta, k=k)


class ReLU(_Function):
    """Layer that applies `relu`."""

    def __init__(self) -> None:
        super().__init__(relu, relu_backward)


class Softmax(_Function):
    """Layer that applies `softmax`."""

    def __init__(self, axis: int = 1) -> None:
        super().__init__(softmax, softmax_backward, axis=axis)


class Dropout(_Function):
    """Layer that applies `dropout` if `forward` is given a generator, and otherwise returns its input."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(dropout, dropout_backward, p=p)

    def forward(self, x: Array, *, rng: Generator = None) -> tuple[Array, Any]:
        """Return x after dropout by `rng` (x itself if `rng` is None), and the context for `backward`."""
        return self._forward(x, rng=rng, **self.options)
