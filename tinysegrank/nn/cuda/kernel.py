"""Compile and launch kernels written in CUDA C."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError

BLOCK = 256  # threads
LARGEST = 2**31 - BLOCK  # threads that 32 bits can number, the last block's included
# without fused multiply-adds, which round once where the readable functions round twice
OPTIONS = ("--fmad=false", "--device-int128")


class Kernel(NamedTuple):
    """A kernel; `source` defines `name(int count, ...)`, which computes one entry for each i below `count`.

    Its parameters are `int` and `float`, for numbers of Python or NumPy; `unsigned long long`, for NumPy's uint64; and
    pointers to float, for contiguous arrays of float32, and to bool.
    """

    name: str
    source: str

    def __call__(self, count: int, *arguments: Any) -> None:
        """Start `count` threads on the current device.

        Raises:
            ShapeError: the threads are too many.
        """
        if count > LARGEST:
            raise ShapeError(f"{self.name}: {count:,} entries are too many for CUDA versions; use smaller batches")
        kernel = _compiled(_cupy(), self)
        kernel((-(-count // BLOCK),), (BLOCK,), (np.int32(count), *map(_argument, arguments)))


def contiguous(x: Array) -> Array:
    """Return an array in C order, copied if need be."""
    return _cupy().ascontiguousarray(x)


def empty(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    """Return an array with arbitrary entries on the current device."""
    return _cupy().empty(shape, dtype)


def zeros(shape: tuple[int, ...]) -> Array:
    """Return an array of zeros on the current device."""
    return _cupy().zeros(shape, np.float32)


def _argument(value: Any) -> Any:
    """Give numbers the types of the kernels' parameters; NumPy's uint64 has its own."""
    if isinstance(value, int | np.signedinteger):
        return np.int32(value)
    return np.float32(value) if isinstance(value, float | np.floating) else value


def _cupy() -> Any:
    import cupy

    return cupy


@cache
def _compiled(cupy: Any, kernel: Kernel) -> Any:
    """Return CuPy's kernel, which is compiled at its first launch on each device."""
    return cupy.RawKernel(kernel.source, kernel.name, OPTIONS)
