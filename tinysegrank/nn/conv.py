"""Convolution (cross-correlation, as in Caffe) with stride, zero padding and groups, as one matrix product per group.

Source: Caffe's ConvolutionLayer and im2col.
"""

from __future__ import annotations

from array_api_compat import array_namespace, device, is_cupy_array

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import ConvContext, Pair, check_conv2d, check_gradient, half_in_float32
from tinysegrank.nn.cuda import WindowContext, uses_cuda
from tinysegrank.nn.cuda import conv as cuda
from tinysegrank.nn.fast import TileContext, takes_tiles, uses_numba
from tinysegrank.nn.windows import extract_windows, scatter_windows


@half_in_float32
def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    groups: int = 1,
) -> tuple[Array, ConvContext | TileContext | WindowContext]:
    """Cross-correlate each image with F filters.

    y[n, f, r, s] = bias[f] + sum over c, i, j of weight[f, c, i, j] * padded x[n, c, r * stride + i, s * stride + j].
    `groups` splits channels and filters into as many runs of equal length; a filter sees only its own run of channels.

    x       | (N, C, H, W)          | floating | activations
    weight  | (F, C/groups, KH, KW) | as x     | filters
    bias    | (F,)                  | as x     | None: zeros
    returns | (N, F, OH, OW)        | as x     | OH = floor((H + 2 padding - KH) / stride) + 1, OW likewise
    and the context for `conv2d_backward`.

    Raises:
        ShapeError: an array is not floating; ranks, channels, groups or dtypes do not fit; stride (at least 1) or
            padding (at least 0) is not one integer or two, (height, width); or a filter is larger than the padded map.
    """
    if bias is None:
        bias = array_namespace(x, weight).zeros(weight.shape[:1], dtype=weight.dtype, device=device(weight))
    stride, padding, out = check_conv2d(x, weight, bias, stride, padding, groups)
    if uses_numba(x) and takes_tiles(weight, stride):
        from tinysegrank.nn.fast import convolution

        return convolution.conv2d(x, weight, bias, stride=stride[0], padding=padding, groups=groups, out=out)
    if uses_cuda(x, weight):
        return cuda.conv2d(x, weight, bias, stride=stride, padding=padding, groups=groups, out=out)
    xp = array_namespace(x)
    (N, C, H, W), (F, _, KH, KW) = x.shape, weight.shape

    x = xp.permute_dims(x, (1, 0, 2, 3))  # (C, N, H, W), so that channels and taps become the rows of one matrix
    windows = extract_windows(x, (KH, KW), stride, out, padding)  # (C, T, N, OH, OW)
    columns = xp.reshape(windows, (groups, C // groups * KH * KW, N * out[0] * out[1]))  # (G, C/G * T, N * OH * OW)
    filters = xp.reshape(weight, (groups, F // groups, -1))  # (G, F/G, C/G * T)
    y = xp.reshape(_products(filters, columns), (F, N, *out)) + xp.reshape(bias, (F, 1, 1, 1))  # (F, N, OH, OW)
    y = xp.permute_dims(y, (1, 0, 2, 3))  # (N, F, OH, OW)
    return y, ConvContext(columns, weight, (N, C, H, W), out, stride, padding, groups)


@half_in_float32
def conv2d_backward(
    gradient: Array,
    context: ConvContext | TileContext | WindowContext,
    *,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Array | None, Array | None, Array | None]:
    """Return the gradients with respect to x, weight and bias; one that `needs` leaves out is None and costs nothing.

    gradient | (N, F, OH, OW) | as x     | of the loss with respect to the output
    returns  | (N, C, H, W), (F, C/groups, KH, KW), (F,) | as gradient |

    Raises:
        ShapeError: the gradient is not floating, or its shape is not the output's.
    """
    x_shape = context.x.shape if isinstance(context, WindowContext) else context.x_shape
    check_gradient("conv2d_backward", gradient, (x_shape[0], context.weight.shape[0], *context.out))
    if isinstance(context, TileContext):
        from tinysegrank.nn.fast import convolution

        return convolution.conv2d_backward(gradient, context, needs=needs)
    if isinstance(context, WindowContext):
        return cuda.conv2d_backward(gradient, context, needs=needs)
    columns, weight, (N, C, H, W), out, stride, padding, groups = context
    xp = array_namespace(gradient)
    F, _, KH, KW = weight.shape
    gradient = xp.permute_dims(gradient, (1, 0, 2, 3))  # (F, N, OH, OW)
    gy = xp.reshape(gradient, (groups, F // groups, N * out[0] * out[1]))  # (G, F/G, N * OH * OW)

    gx = gweight = gbias = None
    if needs[0]:
        filters = xp.reshape(weight, (groups, F // groups, -1))  # (G, F/G, C/G * T)
        gcolumns = _products(xp.matrix_transpose(filters), gy)  # (G, C/G * T, N * OH * OW)
        gwindows = xp.reshape(gcolumns, (C, KH * KW, N, *out))  # (C, T, N, OH, OW)
        gx = scatter_windows(gwindows, (C, N, H, W), (KH, KW), stride, padding)  # (C, N, H, W)
        gx = xp.permute_dims(gx, (1, 0, 2, 3))  # (N, C, H, W)
    if needs[1]:
        gweight = xp.reshape(_products(gy, xp.matrix_transpose(columns)), weight.shape)  # (F, C/G, KH, KW)
    if needs[2]:
        gbias = xp.sum(gradient, axis=(1, 2, 3))  # (F,)
    return gx, gweight, gbias


def _products(a: Array, b: Array) -> Array:
    """Return a[g] @ b[g] for each group g.

    a       | (G, M, K) | floating |
    b       | (G, K, N) | as a     |
    returns | (G, M, N) | as a     |
    """
    return cuda.products(a, b) if is_cupy_array(a) else a @ b
