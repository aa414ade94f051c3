"""CUDA versions of the layers, for float32 CuPy arrays; `tinysegrank.nn` has the reference code.

Each file is named after the readable one, and its functions give the same results, to the bit unless a docstring says
otherwise. A kernel is a few lines of CUDA C; most have one thread for each entry of their output.
TINYSEGRANK_ACCELERATE=0 turns these versions off.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_cupy_array

from tinysegrank.backend import Array, accelerated
from tinysegrank.nn.arguments import Pair


class WindowContext(NamedTuple):
    """Values that `cuda.conv.conv2d` saves for its backward pass."""

    x: Array  # (N, C, H, W), from which columns are made again
    weight: Array  # (F, C/G, KH, KW)
    out: Pair
    stride: Pair
    padding: Pair
    groups: int
    part_bytes: int  # of the columns that are made at a time


def uses_cuda(*arrays: Any) -> bool:
    """Return whether CUDA versions are enabled and all arrays are non-empty float32 CuPy arrays."""
    return all(is_cupy_array(a) and a.dtype == np.float32 and a.size for a in arrays) and accelerated()
