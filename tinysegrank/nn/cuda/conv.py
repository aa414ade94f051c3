"""CUDA version of `conv2d`, which can apply ReLU too; sums differ from the readable version's in their order only."""

from __future__ import annotations

from math import prod

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import ConvContext, Pair
from tinysegrank.nn.cuda.kernel import Kernel, contiguous, empty
from tinysegrank.nn.cuda.windows import extract_windows

_ADD_BIAS = Kernel(
    "tinysegrank_add_bias",
    """
extern "C" __global__ void tinysegrank_add_bias(
    int count, const float* products, const float* bias, float* y, int N, int F, int L, int relu) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;  // entry (n, f, l)
    if (i >= count) return;
    int l = i % L, f = i / L % F, n = i / (L * F);
    float sum = products[(f * N + n) * L + l] + bias[f];
    y[i] = relu && sum < 0.0f ? 0.0f : sum;
}
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
) -> tuple[Array, ConvContext]:
    """CUDA version of `nn.conv2d`, whose arguments have been checked; `relu` sets negative outputs to 0.

    x       | (N, C, H, W)          | float32 | activations, in any layout
    weight  | (F, C/groups, KH, KW) | float32 | filters
    bias    | (F,)                  | float32 |
    returns | (N, F, OH, OW)        | float32 |
    and the context for `nn.conv2d_backward`.
    """
    (N, C, H, W), (F, _, KH, KW) = x.shape, weight.shape
    windows = extract_windows(x.transpose((1, 0, 2, 3)), (KH, KW), stride, out, padding)  # (C, T, N, OH, OW)
    columns = windows.reshape(groups, -1, N * prod(out))  # (G, C/G * T, N * OH * OW)
    y = empty((N, F, *out))
    filters = weight.reshape(groups, F // groups, -1)  # (G, F/G, C/G * T)
    _ADD_BIAS(y.size, products(filters, columns), contiguous(bias), y, N, F, prod(out), int(relu))
    return y, ConvContext(columns, weight, (N, C, H, W), out, stride, padding, groups)


def products(a: Array, b: Array) -> Array:
    """Return a[g] @ b[g] for each group g, of any dtype, one by one.

    `matmul` of more than two axes copies transposed operands, and ignores CUPY_TF32.

    a       | (G, M, K) | floating |
    b       | (G, K, N) | as a     |
    returns | (G, M, N) | as a     |
    """
    import cupy

    made = empty((*a.shape[:2], b.shape[2]), a.dtype)
    for group in range(len(a)):
        cupy.dot(a[group], b[group], out=made[group])
    return made
