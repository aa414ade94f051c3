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
    """A kernel in CUDA C: each thread i < count runs `body`.

    A parameter is an `int` or `float`, for a number of Python or NumPy; an `unsigned long long`, for NumPy's uint64; or
    a pointer to float or bool, for a contiguous array of float32 or bool.
    """

    name: str
    parameters: str  # with their types, without `int count`, which comes first
    body: str

    @property
    def source(self) -> str:
        """CUDA C of the whole function."""
        head = f'extern "C" __global__ void {self.name}(int count, {self.parameters})'
        return f"{head} {{\nint i = blockIdx.x * blockDim.x + threadIdx.x;\nif (i < count) {{{self.body}}}\n}}\n"

    def __call__(self, count: int, *arguments: Any) -> None:
        """Start `count` threads on the current device; `arguments` follow `count` in the kernel's parameters.

        Raises:
            ShapeError: `count` is more than LARGEST.
        """
        if count > LARGEST:
            raise ShapeError(f"{self.name}: {count:,} entries are too many for CUDA versions; use smaller batches")
        kernel = _compiled(_cupy(), self)
        kernel((-(-count // BLOCK),), (BLOCK,), (np.int32(count), *map(_argument, arguments)))


def contiguous(x: Array) -> Array:
    """Return the array itself if it is in C order, otherwise a copy that is."""
    return _cupy().ascontiguousarray(x)


def empty(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    """Return an uninitialised array on the current device."""
    return _cupy().empty(shape, dtype)


def _argument(value: Any) -> Any:
    """Convert an integer to int32 and a float to float32; return arrays and NumPy's unsigned integers unchanged."""
    if isinstance(value, int | np.signedinteger):
        return np.int32(value)
    return np.float32(value) if isinstance(value, float | np.floating) else value


def _cupy() -> Any:
    import cupy

    return cupy


@cache
def _compiled(cupy: Any, kernel: Kernel) -> Any:
    """Return the kernel as an object of CuPy, which compiles it at its first launch on each device."""
    return cupy.RawKernel(kernel.source, kernel.name, OPTIONS)
