"""Layers of any shape and options, as hypothesis draws them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.nn import nn_loops as loops
from tests.nn.nn_operations import spaced_values
from tinysegrank import nn
from tinysegrank.backend import Array

Pair = tuple[int, int]
seeds = st.integers(0, 2**32 - 1)
shapes = hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)


class Convolution(NamedTuple):
    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    stride: Pair
    padding: Pair
    groups: int

    def forward(self, *arrays: np.ndarray) -> tuple[np.ndarray, Any]:
        return nn.conv2d(*arrays, stride=self.stride, padding=self.padding, groups=self.groups)


def pairs(least: int, most: int) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """Batches of 1, one channel, one filter and kernels that only fit with padding among them."""
    rng = np.random.default_rng(draw(seeds))
    groups, N = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    C, F = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kernel, stride, padding = draw(pairs(1, 3)), draw(pairs(1, 3)), draw(pairs(0, 2))
    H, W = (draw(st.integers(max(1, k - 2 * p), 6)) for k, p in zip(kernel, padding, strict=True))
    x, weight = rng.standard_normal((N, C, H, W)), rng.standard_normal((F, C // groups, *kernel))
    return Convolution(x, weight, rng.standard_normal(F), stride, padding, groups)


class Pooling(NamedTuple):
    x: np.ndarray
    size: Pair
    stride: Pair
    ceil_mode: bool

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        return nn.max_pool2d(x, size=self.size, stride=self.stride, ceil_mode=self.ceil_mode)


@st.composite
def poolings(draw: st.DrawFn, *, ties: bool = False) -> Pooling:
    rng = np.random.default_rng(draw(seeds))
    size, stride = (draw(st.tuples(st.integers(1, 4), st.integers(1, 4))) for _ in range(2))
    shape = tuple(draw(st.integers(1, most)) for most in (2, 2, 8, 8))
    ceil_mode = draw(st.booleans())
    assume(all(loops.window_starts(n, k, s, ceil_mode) for n, k, s in zip(shape[2:], size, stride, strict=True)))
    x = rng.integers(-1, 2, shape).astype(float) if ties else spaced_values(rng, shape)
    return Pooling(x, size, stride, ceil_mode)


class AnyLayer(NamedTuple):
    """A function of the layer library, by name, with its inputs and options; the option `rng` is a seed."""

    name: str
    arrays: list[np.ndarray]
    options: dict[str, Any]

    def forward(self, *arrays: Array) -> tuple[Array, Any]:
        made = {name: np.random.default_rng(value) if name == "rng" else value for name, value in self.options.items()}
        return getattr(nn, self.name)(*arrays, **made)

    def backward(self, gradient: Array, context: Any) -> tuple[Array, ...]:
        """Always a tuple."""
        returned = getattr(nn, f"{self.name}_backward")(gradient, context)
        return returned if isinstance(returned, tuple) else (returned,)


LAYERS = ("conv2d", "max_pool2d", "local_response_norm", "relu", "softmax", "log_softmax", "dropout")


@st.composite
def layers(draw: st.DrawFn, name: str) -> AnyLayer:
    """One of `LAYERS`. The alpha of LRN is from 0.1, as at Caffe's 1e-4 a wrong window would pass."""
    if name == "conv2d":
        x, weight, bias, *rest = draw(convolutions())
        return AnyLayer(name, [x, weight, bias], dict(zip(("stride", "padding", "groups"), rest, strict=True)))
    if name == "max_pool2d":
        x, *rest = draw(poolings())
        return AnyLayer(name, [x], dict(zip(("size", "stride", "ceil_mode"), rest, strict=True)))
    rng, options = np.random.default_rng(draw(seeds)), {}
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, max_side=7) if name == "local_response_norm" else shapes)
    if name == "local_response_norm":
        options = {
            "size": draw(st.sampled_from([1, 3, 5, 7, 9])),
            "alpha": draw(st.floats(0.1, 1.0)),
            "beta": draw(st.floats(0.25, 2.0)),
            "k": draw(st.floats(0.5, 2.0)),
        }
    elif name in ("softmax", "log_softmax"):
        options = {"axis": draw(st.integers(-len(shape), len(shape) - 1))}
    elif name == "dropout":
        options = {"p": draw(st.floats(0, 0.9)), "rng": draw(seeds)}
    return AnyLayer(name, [spaced_values(rng, shape) if name == "relu" else rng.standard_normal(shape)], options)
