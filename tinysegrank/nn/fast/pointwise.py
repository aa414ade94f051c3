"""The twins of `nn.relu_backward` and `nn.dropout`, which equal them to the bit.

`relu_backward` answers in the memory order of its input, where `np.where` always answers in the order of the axes and
so would undo channels-last maps; `dropout` lays maps with channels last, as the convolution after it wants them. Of
each random number it needs no more than the side of p on which it lies.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.errors import ShapeError
from tinysegrank.nn.fast.geometry import jobs
from tinysegrank.nn.fast.threads import Stage, run_stages
from tinysegrank.nn.windows import Pair


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
    g, p = (np.asarray(array.transpose(order), order="C") for array in (gradient, positive))
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
    N, C, H, W = x.shape if x.ndim == 4 else (1, 1, 1, x.size)
    y, scale = np.empty((N, H * W, C), np.float32), np.empty((N, H * W, C), np.float32)
    if x.flags.c_contiguous or x.ndim != 4:
        entries = x.reshape(N, C, H * W).transpose(0, 2, 1)  # (N, L, C)
    else:
        entries = x.transpose(0, 2, 3, 1).reshape(N, H * W, C)  # (N, L, C), a view where channels lie last
    drawn = bits.reshape(N, C, H * W)
    run_stages([Stage(lambda *images: _drop(entries, drawn, limit, factor, images, y, scale), N, jobs(N, 4 * x.size))])
    if x.ndim != 4:
        return y.reshape(x.shape), scale.reshape(x.shape)
    return y.reshape(N, H, W, C).transpose(0, 3, 1, 2), scale.reshape(N, H, W, C).transpose(0, 3, 1, 2)


def _random_bits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """uint32 whose upper 24 bits are those of each number that `rng.random(shape, dtype=np.float32)` would draw.

    NumPy makes two float32 of each 64 bits that a PCG64 draws, of the lower half first, unless half a draw is left; and
    a PCG64 can be set forward, so that each thread draws a part.
    """
    source = getattr(rng, "bit_generator", None)
    number = prod(shape)
    if isinstance(source, np.random.PCG64) and number % 2 == 0 and not source.state["has_uint32"]:
        drawn = np.empty(number // 2, "<u8")

        def draw(start: int, stop: int) -> None:
            ahead = np.random.PCG64(0)
            ahead.state = source.state
            drawn[start:stop] = ahead.advance(start).random_raw(stop - start)

        run_stages([Stage(draw, len(drawn), jobs(len(drawn), number))])
        source.advance(len(drawn))
        return drawn.view("<u4")
    return (rng.random(shape, dtype=np.float32) * np.float32(2**24)).astype(np.uint32) << np.uint32(8)


def _memory_order(x: np.ndarray) -> list[int]:
    """The axes from the one with the largest steps in memory to the one with the smallest."""
    return sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))


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
    """Some images of x, y, scale (N, L, C), bits (N, C, L)."""
    _, L, C = x.shape
    for n in range(images[0], images[1]):
        for i in range(L):
            for c in range(C):
                kept = factor if bits[n, c, i] >> np.uint32(8) >= limit else np.float32(0)
                scale[n, i, c] = kept
                y[n, i, c] = x[n, i, c] * kept
