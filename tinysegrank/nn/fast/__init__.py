"""Twins of the layers for float32 NumPy arrays on a CPU; the functions of `tinysegrank.nn` are their specification.

A twin keeps the shapes of its model, (N, C, H, W), but lays maps out in memory with channels last, where neighbouring
numbers can be treated alike. TINYSEGRANK_ACCELERATE=0 turns the twins off.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinysegrank.backend import accelerated
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
