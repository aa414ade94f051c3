"""CUDA versions of the layers, for float32 CuPy arrays; `tinysegrank.nn` has the reference code.

Each file is named after the readable one and gives its results, to the bit unless a docstring says otherwise. A kernel
is a few lines of CUDA C, with one thread for each entry of its output. TINYSEGRANK_ACCELERATE=0 turns them off.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_cupy_array

from tinysegrank.backend import Array, accelerated
from tinysegrank.nn.arguments import Pair


class WindowContext(NamedTuple):
    """Values that `conv` saves for its backward pass."""

    x: Array  # (N, C, H, W), from which columns are made again
    weight: Array  # (F, C/G, KH, KW)
    out: Pair
    stride: Pair
    padding: Pair
    groups: int
    part_bytes: int


def uses_cuda(*arrays: Any) -> bool:
    """Return whether to use CUDA versions: if they are enabled, and all arrays are non-empty float32 CuPy arrays."""
    return all(is_cupy_array(a) and a.dtype == np.float32 and a.size for a in arrays) and accelerated()
