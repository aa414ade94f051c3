"""Numba version of `nn.pool`, equal to it to the bit, on maps with channels last."""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.nn.arguments import Pair, PoolContext
from tinysegrank.nn.fast.fold import channels_last
from tinysegrank.nn.fast.threads import share


def max_pool2d(x: np.ndarray, size: Pair, stride: Pair, out: Pair) -> tuple[np.ndarray, PoolContext]:
    """Numba version of `nn.max_pool2d`, whose arguments have been checked; the pairs are (height, width).

    x       | (N, C, H, W)   | float32 | activations
    returns | (N, C, OH, OW) | float32 | channels last in memory
    and the context for `nn.max_pool2d_backward`.
    """
    maps = channels_last(x)  # (N, H, W, C)
    y = np.empty((len(maps), *out, maps.shape[3]), np.float32)  # (N, OH, OW, C)
    share(lambda *rows: pool_rows(maps, size, stride, rows, y), len(y) * out[0], maps.size)
    y = y.transpose(0, 3, 1, 2)  # (N, C, OH, OW)
    return y, PoolContext(x, y, size, stride)


def max_pool2d_backward(gradient: np.ndarray, context: PoolContext) -> np.ndarray:
    """Numba version of `nn.max_pool2d_backward`.

    gradient | (N, C, OH, OW) | float32 | of the loss with respect to the output
    returns  | (N, C, H, W)   | float32 | channels last in memory
    """
    x, y, size, stride = context
    x, y, gradient = (channels_last(array) for array in (x, y, gradient))
    gx = np.empty_like(x)  # (N, H, W, C)
    share(lambda *images: _pool_backward(gradient, x, y, size, stride, images, gx), len(x), x.size)
    return gx.transpose(0, 3, 1, 2)


@compiled(error_model="numpy")
def pool_rows(x: np.ndarray, size: Pair, stride: Pair, rows: Pair, y: np.ndarray) -> None:
    """Fill rows[0]..rows[1]-1 of y (N, OH, OW, C), numbered across all maps, with the maxima of windows of x."""
    (_, H, W, C), (_, OH, OW, _) = x.shape, y.shape
    for number in range(rows[0], rows[1]):
        image, top = number // OH, number % OH * stride[0]
        for ow in range(OW):
            left, best = ow * stride[1], y[image, number % OH, ow]
            for c in range(C):
                best[c] = x[image, top, left, c]
            for h in range(top, min(H, top + size[0])):
                for w in range(left, min(W, left + size[1])):
                    tap = x[image, h, w]
                    for c in range(C):
                        best[c] = best[c] if best[c] >= tap[c] or best[c] != best[c] else tap[c]  # a NaN stays


@compiled(error_model="numpy")
def _pool_backward(
    gradient: np.ndarray, x: np.ndarray, y: np.ndarray, size: Pair, stride: Pair, images: Pair, gx: np.ndarray
) -> None:
    """Fill images[0]..images[1]-1 of gx, the gradient with respect to x; all arrays have channels last.

    Windows are visited from last to first, so that gradients add up in the order of `nn.max_pool2d_backward`.
    """
    (_, H, W, C), (_, OH, OW, _) = x.shape, y.shape
    waiting = np.empty(C, np.bool_)  # channels whose maximum has not been found yet
    for image in range(images[0], images[1]):
        gx[image] = 0
        for number in range(OH * OW - 1, -1, -1):
            top, left = number // OW * stride[0], number % OW * stride[1]
            best, g = y[image, number // OW, number % OW], gradient[image, number // OW, number % OW]
            waiting[:] = True
            for h in range(top, min(H, top + size[0])):
                for w in range(left, min(W, left + size[1])):
                    tap, target = x[image, h, w], gx[image, h, w]
                    for c in range(C):
                        first = waiting[c] and tap[c] == best[c]
                        target[c] += g[c] if first else np.float32(0)
                        waiting[c] = waiting[c] and not first
