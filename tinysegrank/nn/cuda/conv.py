"""CUDA versions of `conv2d`, optionally with a ReLU, and of `conv2d_backward`; only the order of their sums differs.

The columns of im2col take 7 to 25 times the memory of AlexNet's maps, so they are made for a part of the images at a
time, and the backward pass makes them again. Each part takes at least three kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.cuda import WindowContext
from tinysegrank.nn.cuda.kernel import Kernel, contiguous, empty
from tinysegrank.nn.cuda.windows import extract_windows, sum_windows

# Most bytes that a part's columns may take. In evaluation they stay in the second-level cache (40 MB on an A100, 50 MB
# on an H100) until the product has read them; AlexNet on 64 images then takes 175 kernels. A training step on cached
# features is limited by launches: the columns of 64 images are one part, and only larger ones are split to save memory.
CACHED, TRAINED = 32 * 2**20, 128 * 2**20

_ADD_BIAS = Kernel(
    "tinysegrank_add_bias",  # i is entry (n, f, l)
    "const float* products, const float* bias, float* y, int N, int F, int L, int relu",
    """
    int l = i % L, f = i / L % F, n = i / (L * F);
    float sum = products[(f * N + n) * L + l] + bias[f];
    y[i] = relu && sum < 0.0f ? 0.0f : sum;
""",
)


def conv2d(
    x: Array,
    weight: Array,
    bias: Array,
    *,
    stride: Pair,
    padding: Pair,
    groups: int,
    out: Pair,
    relu: bool = False,
    part_bytes: int | None = None,
) -> tuple[Array, WindowContext]:
    """CUDA version of `nn.conv2d`, whose arguments have been checked.

    x       | (N, C, H, W)          | float32 | activations, in any layout
    weight  | (F, C/groups, KH, KW) | float32 | filters
    bias    | (F,)                  | float32 |
    returns | (N, F, OH, OW)        | float32 |
    and the context for `conv2d_backward`.

    `out` is (OH, OW); `relu` sets negative outputs to 0. The columns made at a time take at most `part_bytes` (TRAINED
    by default), unless those of one image take more.
    """
    context = WindowContext(x, weight, out, stride, padding, groups, part_bytes or TRAINED)
    F, L = len(weight), prod(out)
    y, bias = empty((len(x), F, *out)), contiguous(bias)
    filters = weight.reshape(groups, F // groups, -1)  # (G, F/G, C/G * T)
    for part in _parts(context):
        y_part, scores = y[part], products(filters, _columns(context, part))  # scores: (G, F/G, n * OH * OW)
        _ADD_BIAS(y_part.size, scores, bias, y_part, len(y_part), F, L, int(relu))
    return y, context


def conv2d_backward(
    gradient: Array, context: WindowContext, *, needs: tuple[bool, bool, bool]
) -> tuple[Array | None, Array | None, Array | None]:
    """CUDA version of `nn.conv2d_backward`.

    gradient | (N, F, OH, OW) | float32 | of the loss with respect to the output
    returns  | (N, C, H, W), (F, C/groups, KH, KW), (F,) | float32 | None where not needed
    """
    x, weight, out, stride, padding, groups, _ = context
    F, _, KH, KW = weight.shape
    gradient = gradient.astype(np.float32, copy=False)
    filters = weight.reshape(groups, F // groups, -1).transpose((0, 2, 1))  # (G, C/G * T, F/G)
    gx, gweight = empty(x.shape) if needs[0] else None, None
    for part in _parts(context) if needs[0] or needs[1] else ():
        gy = gradient[part].transpose((1, 0, 2, 3)).reshape(groups, F // groups, -1)  # (G, F/G, n * OH * OW)
        if gx is not None:  # no name keeps the columns, so that their memory serves the next part
            into = gx[part]
            sum_windows(products(filters, gy).reshape(-1, KH * KW, len(into), *out), into, (KH, KW), stride, padding)
        if needs[1]:
            share = products(gy, _columns(context, part).transpose((0, 2, 1)))  # (G, F/G, C/G * T)
            gweight = share if gweight is None else gweight + share
    gbias = gradient.sum(axis=(0, 2, 3)) if needs[2] else None  # (F,)
    return gx, None if gweight is None else gweight.reshape(weight.shape), gbias


def _parts(context: WindowContext) -> Iterator[slice]:
    """Yield slices of as many images as have columns of at most `part_bytes` together, but at least one image."""
    (N, C, _, _), (_, _, KH, KW) = context.x.shape, context.weight.shape
    images = max(1, context.part_bytes // (C * KH * KW * prod(context.out) * context.x.dtype.itemsize))
    return (slice(start, start + images) for start in range(0, N, images))


def _columns(context: WindowContext, part: slice) -> Array:
    """Return the im2col columns of the n images of a slice, (G, C/G * T, n * OH * OW), with T taps of a filter."""
    x, weight, out, stride, padding, groups, _ = context
    windows = extract_windows(x[part].transpose((1, 0, 2, 3)), weight.shape[2:], stride, out, padding)
    return windows.reshape(groups, weight.shape[1] * prod(weight.shape[2:]), -1)


def products(a: Array, b: Array) -> Array:
    """Return a[g] @ b[g] for each group g, by one product after another.

    CuPy's `matmul` of more than two axes copies transposed operands, and ignores CUPY_TF32.

    a       | (G, M, K) | floating |
    b       | (G, K, N) | as a     |
    returns | (G, M, N) | as a     |
    """
    import cupy

    made = empty((*a.shape[:2], b.shape[2]), a.dtype)
    for group in range(len(a)):
        cupy.dot(a[group], b[group], out=made[group])
    return made
