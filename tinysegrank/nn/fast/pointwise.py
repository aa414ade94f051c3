"""Numba versions of `nn.relu_backward` and `nn.dropout`, equal to them to the bit.

`relu_backward` keeps the memory layout of the gradient, where `np.where` would return C order and so undo channels
last. `dropout` stores its output with channels last, as the next convolution needs it, and compares random integers
with p: it needs to know only whether a random number is below p.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.threads import share


def relu_backward(gradient: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Numba version of `nn.relu_backward`: return the gradient where x > 0, and 0 elsewhere.

    gradient | any shape   | float32 | of the loss with respect to the output
    positive | as gradient | bool    | whether x > 0
    returns  | as gradient | float32 |
    """
    order = sorted(range(gradient.ndim), key=lambda axis: -abs(gradient.strides[axis]))  # as in memory
    g, p = (np.asarray(array.transpose(order), order="C") for array in (gradient, positive))
    gx = np.empty_like(g)
    _keep_where(g.reshape(-1), p.reshape(-1), gx.reshape(-1))
    return gx.transpose(np.argsort(order))


def dropout(x: np.ndarray, *, p: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Numba version of `nn.dropout` in training.

    x       | any shape | float32 | activations
    returns | as x      | float32 | x times the multipliers
    and the multipliers, 0 or 1 / (1 - p), as an array like x.
    """
    bits = _random_bits(rng, x.shape)
    limit = np.uint32(np.ceil(float(np.float32(p)) * 2**24))
    factor = np.float32(1.0 / (1.0 - p))
    N, C, H, W = x.shape if x.ndim == 4 else (1, 1, 1, x.size)
    y, scale = np.empty((N, H * W, C), np.float32), np.empty((N, H * W, C), np.float32)
    if x.flags.c_contiguous or x.ndim != 4:
        entries = x.reshape(N, C, H * W).transpose(0, 2, 1)  # (N, L, C)
    else:
        entries = x.transpose(0, 2, 3, 1).reshape(N, H * W, C)  # (N, L, C), a view where channels are last in memory
    drawn = bits.reshape(N, C, H * W)
    share(lambda *images: _drop(entries, drawn, limit, factor, images, y, scale), N, 4 * x.size)
    if x.ndim != 4:
        return y.reshape(x.shape), scale.reshape(x.shape)
    return y.reshape(N, H, W, C).transpose(0, 3, 1, 2), scale.reshape(N, H, W, C).transpose(0, 3, 1, 2)


def _random_bits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw a uint32 for each float32 that `rng.random(shape, dtype=np.float32)` would draw: its upper 24 bits agree.

    PCG64 generates 64 bits at a time, of which NumPy makes two float32, from the lower half first. As PCG64 can be
    advanced, each thread draws its own part. With another generator, for an odd number of entries, or if half a draw
    is left over, `rng.random` draws them. The result is flat, or of the given shape; its entries are in C order.
    """
    source = getattr(rng, "bit_generator", None)
    number = prod(shape)
    if isinstance(source, np.random.PCG64) and number % 2 == 0 and not source.state["has_uint32"]:
        drawn = np.empty(number // 2, "<u8")

        def draw(start: int, stop: int) -> None:
            ahead = np.random.PCG64(0)
            ahead.state = source.state
            drawn[start:stop] = ahead.advance(start).random_raw(stop - start)

        share(draw, len(drawn), number)
        source.advance(len(drawn))
        return drawn.view("<u4")
    return (rng.random(shape, dtype=np.float32) * np.float32(2**24)).astype(np.uint32) << np.uint32(8)


@compiled(error_model="numpy")
def _keep_where(gradient: np.ndarray, positive: np.ndarray, gx: np.ndarray) -> None:
    for i in range(gradient.size):
        gx[i] = gradient[i] if positive[i] else np.float32(0)


@compiled(error_model="numpy")
def _drop(
    x: np.ndarray,
    bits: np.ndarray,
    limit: np.uint32,
    factor: np.float32,
    images: Pair,
    y: np.ndarray,
    scale: np.ndarray,
) -> None:
    """Fill images[0]..images[1]-1 of `scale` and of y = x * scale, all (N, L, C).

    An entry of `scale` is `factor` where bits >> 8 >= limit, otherwise 0; `bits` is (N, C, L).
    """
    _, L, C = x.shape
    for n in range(images[0], images[1]):
        for i in range(L):
            for c in range(C):
                kept = factor if bits[n, c, i] >> np.uint32(8) >= limit else np.float32(0)
                scale[n, i, c] = kept
                y[n, i, c] = x[n, i, c] * kept
