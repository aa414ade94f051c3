"""Twins of the layers for float32 NumPy arrays on a CPU; the functions of `tinysegrank.nn` are their specification.

A twin keeps the shapes of its model, (N, C, H, W), but lays maps out in memory with channels last, where neighbouring
numbers can be treated alike. TINYSEGRANK_ACCELERATE=0 turns the twins off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.backend import Array, accelerated
from tinysegrank.nn.windows import Pair

KERNELS = (3, 5)  # heights, and widths, of filters that `convolution` takes, when the stride is folded into channels
CHANNELS = 8  # fewer channels of a group, or fewer filters, leave matrix products too thin


class TileContext(NamedTuple):
    """What the backward pass of `convolution` needs."""

    maps: np.ndarray  # (N, h, w, c), x with channels last and the stride folded into channels
    weight: np.ndarray  # (F, C/G, K, K)
    x_shape: tuple[int, int, int, int]
    out: Pair
    stride: int
    padding: Pair
    groups: int


class Step(NamedTuple):
    """A layer as `evaluation` sees it.

    Attributes:
        kind: "convolution", "relu", "pooling", "normalisation", "dropout" or "other".
        forward: of the layer, for where no twin stands in.
        parameters: by name; of a convolution.
        options: of the function of that kind.
    """

    kind: str
    forward: Callable[..., tuple[Array, Any]]
    parameters: Mapping[str, Array]
    options: Mapping[str, Any]


class Kept:
    """What `evaluation` keeps from one call to the next, on the same layers with the same parameters.

    Attributes:
        filters: transformed ones, by a layer's place and the number of points.
        programs: the shape of the input and what is done with it, by the first layer's place.
        lock: held by the call that uses the programs.
    """

    def __init__(self) -> None:
        self.filters: dict[tuple[int, int], np.ndarray] = {}
        self.programs: dict[int, tuple[tuple[int, ...], Any]] = {}
        self.lock = Lock()


def takes_twin(*arrays: Any) -> bool:
    """Whether twins stand in on these arrays: all NumPy's, float32 and not empty, and twins are on."""
    return accelerated() and all(
        isinstance(array, np.ndarray) and array.dtype == np.float32 and array.size for array in arrays
    )


def takes_tiles(weight: np.ndarray, stride: Pair) -> bool:
    """Whether `convolution` is the faster way for a convolution with these filters (F, C/groups, KH, KW)."""
    if weight.ndim != 4:
        return False
    F, C, KH, KW = weight.shape
    return (
        KH == KW
        and stride[0] == stride[1]
        and -(-KH // stride[0]) in KERNELS
        and F >= CHANNELS
        and C * stride[0] ** 2 >= CHANNELS
    )
