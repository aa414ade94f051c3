"""The twins of `nn.relu_backward` and `nn.dropout`, which equal them to the bit.

They answer in the memory order of their input, where `np.where` always answers in the order of the axes and so would
undo channels-last maps. Of each random number dropout needs no more than the side of p on which it lies.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numba import njit

from tinysegrank.errors import ShapeError

_jit = njit(cache=True, nogil=True, error_model="numpy")


def relu_backward(gradient: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Do as `nn.relu_backward`.

    gradient | any shape   | float32 | of the loss with respect to the output
    positive | as gradient | bool    | where x > 0
    returns  | as gradient | float32 |

    Raises:
        ShapeError: the shapes differ.
    """
    if gradient.shape != positive.shape:
        raise ShapeError(f"relu_backward: a gradient of shape {gradient.shape} for an output of {positive.shape}")
    order = _memory_order(gradient)
    g, p = (np.ascontiguousarray(array.transpose(order)) for array in (gradient, positive))
    gx = np.empty_like(g)
    _keep_where(g.reshape(-1), p.reshape(-1), gx.reshape(-1))
    return gx.transpose(np.argsort(order))


def dropout(x: np.ndarray, *, p: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Do as `nn.dropout` in training.

    x       | any shape | float32 | activations
    returns | as x      | float32 |
    and the multipliers.
    """
    bits = _random_bits(rng, x.shape)
    limit = np.uint32(np.ceil(float(np.float32(p)) * 2**24))
    factor = np.float32(1.0 / (1.0 - p))
    if x.ndim == 4 and x.transpose(0, 2, 3, 1).flags.c_contiguous:
        N, C, H, W = x.shape
        shape, order = (N, H * W, C), [0, 2, 3, 1]
    else:
        shape, order = (1, x.size, 1), list(range(x.ndim))
    ordered = np.ascontiguousarray(x.transpose(order))  # (N, H, W, C), or x as it is
    y, scale = np.empty_like(ordered), np.empty_like(ordered)
    bits = bits.reshape(shape[0], shape[2], shape[1])  # (N, C, H * W)
    _drop(ordered.reshape(shape), bits, limit, factor, y.reshape(shape), scale.reshape(shape))
    back = np.argsort(order)
    return y.transpose(back), scale.transpose(back)


def _random_bits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """uint32 whose upper 24 bits are those of each number that `rng.random(shape, dtype=np.float32)` would draw.

    NumPy makes two float32 of each 64 bits that a PCG64 draws, of the lower half first, unless half a draw is left.
    """
    source = getattr(rng, "bit_generator", None)
    number = prod(shape)
    if isinstance(source, np.random.PCG64) and number % 2 == 0 and not source.state["has_uint32"]:
        return source.random_raw(number // 2).astype("<u8", copy=False).view("<u4")
    return (rng.random(shape, dtype=np.float32) * np.float32(2**24)).astype(np.uint32) << np.uint32(8)


def _memory_order(x: np.ndarray) -> list[int]:
    """The axes from the one with the largest steps in memory to the one with the smallest."""
    return sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))


@_jit  # type: ignore[untyped-decorator]
def _keep_where(gradient: np.ndarray, positive: np.ndarray, gx: np.ndarray) -> None:
    for i in range(gradient.size):
        gx[i] = gradient[i] if positive[i] else np.float32(0)


@_jit  # type: ignore[untyped-decorator]
def _drop(
    x: np.ndarray, bits: np.ndarray, limit: np.uint32, factor: np.float32, y: np.ndarray, scale: np.ndarray
) -> None:
    """x, y, scale (N, L, C), bits (N, C, L)."""
    N, L, C = x.shape
    for n in range(N):
        for i in range(L):
            for c in range(C):
                kept = factor if bits[n, c, i] >> np.uint32(8) >= limit else np.float32(0)
                scale[n, i, c] = kept
                y[n, i, c] = x[n, i, c] * kept
