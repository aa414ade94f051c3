"""Max pooling with Caffe's rounding: the last window may hang over the edge, and is then clipped to the map.

Source: Caffe's PoolingLayer; the rule that a window must start inside the map is also torch's and ONNX's.
"""

from __future__ import annotations

import array_api_extra as xpx
from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import Pair, PoolContext, check_floating, check_gradient, check_max_pool2d
from tinysegrank.nn.cuda import pool as cuda
from tinysegrank.nn.cuda import uses_cuda
from tinysegrank.nn.fast import uses_numba
from tinysegrank.nn.windows import tap_slices


def max_pool2d(
    x: Array, *, size: int | Pair = 3, stride: int | Pair = 2, ceil_mode: bool = True
) -> tuple[Array, PoolContext]:
    """Return the largest value of each window, or NaN for a window that contains a NaN.

    x       | (N, C, H, W)   | real floating | activations
    returns | (N, C, OH, OW) | as x          | OH = ceil((H - size) / stride) + 1, OW likewise; minus 1 if the last
            |                |               | window would start outside the map; ceil_mode=False takes the floor
    and the context for `max_pool2d_backward`.

    Raises:
        ShapeError: x is not real floating or does not have four axes, size or stride is not one positive integer or
            two, (height, width), or no window fits.
    """
    check_floating("max_pool2d", real=True, x=x)
    size, stride, out = check_max_pool2d(tuple(x.shape), size, stride, ceil_mode)
    if uses_numba(x):
        from tinysegrank.nn.fast import pooling

        return pooling.max_pool2d(x, size, stride, out)
    if uses_cuda(x):
        return cuda.max_pool2d(x, size, stride, out)
    xp = array_namespace(x)
    reach = _repeat_edge(x, size, stride, out)
    y = None
    for rows, columns in tap_slices(size, stride, out):
        tap = reach[..., rows, columns]  # (N, C, OH, OW)
        y = tap if y is None else xp.maximum(y, tap)
    return y, PoolContext(x, y, size, stride)


def max_pool2d_backward(gradient: Array, context: PoolContext) -> Array:
    """Return the gradient with respect to x: that of a window goes to the window's first maximum, in row order.

    Gradients of several windows at one pixel add up. A window whose maximum is NaN passes none on.

    gradient | (N, C, OH, OW) | floating    | of the loss with respect to the output
    returns  | (N, C, H, W)   | as gradient |

    Raises:
        ShapeError: the gradient is not floating, or its shape is not the output's.
    """
    x, y, size, stride = context
    check_gradient("max_pool2d_backward", gradient, y.shape)
    if uses_numba(gradient, x):
        from tinysegrank.nn.fast import pooling

        return pooling.max_pool2d_backward(gradient, context)
    if uses_cuda(gradient, x):
        return cuda.max_pool2d_backward(gradient, context)
    xp = array_namespace(gradient)
    H, W = x.shape[2:]
    out = y.shape[2:]
    reach = _repeat_edge(x, size, stride, out)  # (N, C, RH, RW)
    gx = xp.zeros_like(reach)  # (N, C, RH, RW)
    waiting = xp.ones_like(y, dtype=xp.bool)  # windows whose maximum has not been found yet
    zero = xp.zeros_like(gradient)
    for rows, columns in tap_slices(size, stride, out):
        first = waiting & (reach[..., rows, columns] == y)  # (N, C, OH, OW)
        waiting = waiting & ~first
        gx = xpx.at(gx)[..., rows, columns].add(xp.where(first, gradient, zero))
    return gx[..., :H, :W]  # (N, C, H, W); a repeated edge is never the first maximum, so nothing is cut off


def _repeat_edge(x: Array, size: Pair, stride: Pair, out: Pair) -> Array:
    """Repeat the last row and column until all windows fit, which gives the maxima of windows clipped to the map.

    x       | (N, C, H, W)
    returns | (N, C, RH, RW) | RH = max(H, (OH - 1) * stride + size), RW likewise
    """
    xp = array_namespace(x)
    for axis in (2, 3):
        missing = (out[axis - 2] - 1) * stride[axis - 2] + size[axis - 2] - x.shape[axis]
        if missing > 0:
            edge = x[:, :, -1:, :] if axis == 2 else x[:, :, :, -1:]
            x = xp.concat([x] + [edge] * missing, axis=axis)
    return x
