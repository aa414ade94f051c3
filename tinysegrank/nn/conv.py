"""Convolution (cross-correlation, as in Caffe) with stride, zero padding and groups, as one matrix product per group.

Source: Caffe's ConvolutionLayer and im2col; output size floor((H + 2p - k) / s) + 1.
"""

from __future__ import annotations

from typing import NamedTuple

import array_api_extra as xpx
from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError
from tinysegrank.nn.fast import TileContext, takes_tiles, takes_twin
from tinysegrank.nn.windows import Pair, extract_windows, pair, scatter_windows


class ConvContext(NamedTuple):
    """What the backward pass of a convolution needs."""

    columns: Array  # (G, C/G * T, N * OH * OW)
    weight: Array  # (F, C/G, KH, KW)
    x_shape: tuple[int, int, int, int]
    out: Pair
    stride: Pair
    padding: Pair
    groups: int


def conv2d(
    x: Array, weight: Array, bias: Array, *, stride: int | Pair = 1, padding: int | Pair = 0, groups: int = 1
) -> tuple[Array, ConvContext | TileContext]:
    """Cross-correlate each image with F filters.

    y[n, f, r, s] = bias[f] + sum over c, i, j of weight[f, c, i, j] * padded x[n, c, r * stride + i, s * stride + j].
    With groups, filter f of group g sees the C/groups channels of group g only.

    x       | (N, C, H, W)          | floating | activations
    weight  | (F, C/groups, KH, KW) | as x     | filters
    bias    | (F,)                  | as x     |
    returns | (N, F, OH, OW)        | as x     | OH = floor((H + 2 padding - KH) / stride) + 1, OW likewise
    and the context for `conv2d_backward`.

    Raises:
        ShapeError: ranks, channels, groups or dtypes do not fit, or a window is larger than the padded map.
    """
    stride, padding, out = check_conv2d(x, weight, bias, stride, padding, groups)
    if takes_twin(x) and takes_tiles(weight, stride):
        from tinysegrank.nn.fast import convolution

        return convolution.conv2d(x, weight, bias, stride=stride[0], padding=padding, groups=groups, out=out)
    xp = array_namespace(x)
    (N, C, H, W), (F, _, KH, KW) = x.shape, weight.shape

    x = xp.permute_dims(x, (1, 0, 2, 3))  # (C, N, H, W), so that channels and taps become the rows of one matrix
    x = xpx.pad(x, [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2])  # (C, N, H + 2p, W + 2p)
    windows = extract_windows(x, (KH, KW), stride, out)  # (C, T, N, OH, OW)
    columns = xp.reshape(windows, (groups, C // groups * KH * KW, N * out[0] * out[1]))  # (G, C/G * T, N * OH * OW)
    filters = xp.reshape(weight, (groups, F // groups, -1))  # (G, F/G, C/G * T)
    y = xp.reshape(filters @ columns, (F, N, *out)) + xp.reshape(bias, (F, 1, 1, 1))  # (F, N, OH, OW)
    y = xp.permute_dims(y, (1, 0, 2, 3))  # (N, F, OH, OW)
    return y, ConvContext(columns, weight, (N, C, H, W), out, stride, padding, groups)


def conv2d_backward(
    gradient: Array, context: ConvContext | TileContext, *, needs: tuple[bool, bool, bool] = (True, True, True)
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients with respect to x, weight and bias; those not in `needs` are None and cost nothing.

    gradient | (N, F, OH, OW) | floating | of the loss with respect to the output
    returns  | (N, C, H, W), (F, C/groups, KH, KW), (F,) | as gradient |
    """
    if isinstance(context, TileContext):
        from tinysegrank.nn.fast import convolution

        return convolution.conv2d_backward(gradient, context, needs=needs)
    columns, weight, (N, C, H, W), out, stride, padding, groups = context
    xp = array_namespace(gradient)
    F, _, KH, KW = weight.shape
    gradient = xp.permute_dims(gradient, (1, 0, 2, 3))  # (F, N, OH, OW)
    gy = xp.reshape(gradient, (groups, F // groups, N * out[0] * out[1]))  # (G, F/G, N * OH * OW)

    gx = gweight = gbias = None
    if needs[0]:
        filters = xp.reshape(weight, (groups, F // groups, -1))  # (G, F/G, C/G * T)
        gcolumns = xp.matrix_transpose(filters) @ gy  # (G, C/G * T, N * OH * OW)
        gwindows = xp.reshape(gcolumns, (C, KH * KW, N, *out))  # (C, T, N, OH, OW)
        padded = (C, N, H + 2 * padding[0], W + 2 * padding[1])
        gx = scatter_windows(gwindows, padded, (KH, KW), stride)  # (C, N, H + 2p, W + 2p)
        gx = gx[..., padding[0] : padding[0] + H, padding[1] : padding[1] + W]  # (C, N, H, W)
        gx = xp.permute_dims(gx, (1, 0, 2, 3))  # (N, C, H, W)
    if needs[1]:
        gweight = xp.reshape(gy @ xp.matrix_transpose(columns), weight.shape)  # (F, C/G, KH, KW)
    if needs[2]:
        gbias = xp.sum(gradient, axis=(1, 2, 3))  # (F,)
    return gx, gweight, gbias


def check_conv2d(
    x: Array, weight: Array, bias: Array, stride: int | Pair, padding: int | Pair, groups: int
) -> tuple[Pair, Pair, Pair]:
    """The stride and padding as pairs, and the size of the output, of a convolution that is possible.

    Raises:
        ShapeError: as `conv2d`.
    """
    stride, padding = pair(stride, name="stride", least=1), pair(padding, name="padding", least=0)
    if x.ndim != 4 or weight.ndim != 4 or bias.ndim != 1:
        raise ShapeError(
            f"conv2d takes x (N, C, H, W), weight (F, C/groups, KH, KW) and bias (F,), "
            f"not {tuple(x.shape)}, {tuple(weight.shape)} and {tuple(bias.shape)}"
        )
    if not x.dtype == weight.dtype == bias.dtype:
        raise ShapeError(f"conv2d: x is {x.dtype}, weight {weight.dtype}, bias {bias.dtype}; convert them to one dtype")
    C, F = x.shape[1], weight.shape[0]
    if groups < 1 or C % groups or F % groups:
        raise ShapeError(f"conv2d: groups={groups} must divide both the {C} channels and the {F} filters")
    if weight.shape[1] != C // groups or bias.shape[0] != F:
        raise ShapeError(
            f"conv2d: weight {tuple(weight.shape)} and bias {tuple(bias.shape)} do not fit x with {C} channels "
            f"in {groups} groups: expected weight (F, {C // groups}, KH, KW) and bias (F,)"
        )
    (H, W), (KH, KW) = x.shape[2:], weight.shape[2:]
    return stride, padding, (_out_size(H, KH, stride[0], padding[0]), _out_size(W, KW, stride[1], padding[1]))


def _out_size(size: int, kernel: int, stride: int, padding: int) -> int:
    if size + 2 * padding < kernel:
        raise ShapeError(f"conv2d: a kernel of {kernel} does not fit a map of {size} with padding {padding}")
    return (size + 2 * padding - kernel) // stride + 1
