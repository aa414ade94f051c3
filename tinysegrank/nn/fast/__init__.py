"""Numba versions of the layers, for float32 NumPy arrays on a CPU; `tinysegrank.nn` has the reference code.

Maps have the shape that they have in `nn`, (N, C, H, W), but most are returned with channels last in memory, so that
the innermost loops run over contiguous numbers. TINYSEGRANK_ACCELERATE=0 turns these versions off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.backend import Array, accelerated
from tinysegrank.nn.arguments import Pair

KERNELS = (3, 5)  # kernel sizes that `convolution` supports, counted after the stride is folded into channels
CHANNELS = 8  # with fewer filters, or fewer folded input channels per group, the matrix products are too thin


class TileContext(NamedTuple):
    """Values that `fast.convolution.conv2d` saves for its backward pass."""

    maps: np.ndarray  # (N, h, w, c), x with channels last and the stride folded into channels
    weight: np.ndarray  # (F, C/G, K, K)
    x_shape: tuple[int, int, int, int]
    out: Pair
    stride: int
    padding: Pair
    groups: int


class Step(NamedTuple):
    """Description of a layer for the faster versions of `nn.evaluate`.

    Attributes:
        kind: "convolution", "relu", "pooling", "normalisation", "dropout" or "other".
        forward: the layer's own forward method, called where there is no faster way.
        parameters: weight and bias of a convolution, by name; otherwise empty.
        options: keyword arguments of the layer's function; the stride of a convolution is (height, width).
    """

    kind: str
    forward: Callable[..., tuple[Array, Any]]
    parameters: Mapping[str, Array]
    options: Mapping[str, Any]


class Kept:
    """Cache of `evaluation.evaluate`, shared by calls with the same layers and the same parameters.

    Attributes:
        filters: (index of a layer, kind of Winograd tile) to the layer's transformed filters.
        rooms: (index of the first layer, number of images, shape of an image) to the sets of pieces not in use, each
            with all arrays that its pieces work on. A thread removes a set while it uses it.
        lock: held by a call that uses the cache.
    """

    def __init__(self) -> None:
        self.filters: dict[tuple[int, int], np.ndarray] = {}
        self.rooms: dict[tuple[int, int, tuple[int, ...]], list[Any]] = {}
        self.lock = Lock()


def uses_numba(*arrays: Any) -> bool:
    """Return whether Numba versions are enabled and all arrays are non-empty float32 NumPy arrays."""
    return accelerated() and all(
        isinstance(array, np.ndarray) and array.dtype == np.float32 and array.size for array in arrays
    )


def takes_tiles(weight: np.ndarray, stride: Pair) -> bool:
    """Return whether `fast.convolution` takes this stride and filters (F, C/groups, KH, KW), and is likely faster."""
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
