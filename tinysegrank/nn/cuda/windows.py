"""CUDA versions of `extract_windows`, with a thread per window, and of `scatter_windows`, with a thread per pixel."""

from __future__ import annotations

from math import prod

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.cuda.kernel import Kernel, contiguous, empty

_EXTRACT = Kernel(
    "tinysegrank_extract_windows",  # i is window (c, n, r, s)
    "const float* strided_x, float* windows, int N, int H, int W, int of_channel, int of_image, int of_row, "
    "int of_column, int KH, int KW, int SH, int SW, int PH, int PW, int OH, int OW",
    """
    int s = i % OW, r = i / OW % OH, n = i / (OW * OH) % N, c = i / (OW * OH * N), L = N * OH * OW;
    strided_x += (long long)c * of_channel + (long long)n * of_image;
    windows += (long long)c * KH * KW * L + i % L;
    for (int a = 0; a < KH; ++a)
        for (int b = 0; b < KW; ++b) {
            int p = r * SH + a - PH, q = s * SW + b - PW;
            bool inside = p >= 0 && p < H && q >= 0 && q < W;
            windows[(long long)(a * KW + b) * L] = inside ? strided_x[p * of_row + q * of_column] : 0.0f;
        }
""",
)

_SCATTER = Kernel(
    "tinysegrank_scatter_windows",  # i is pixel (n, c, p, q)
    "const float* windows, float* x, int C, int N, int H, int W, int KH, int KW, int SH, int SW, int PH, int PW, "
    "int OH, int OW",
    """
    int q = i % W + PW, p = i / W % H + PH, c = i / (W * H) % C, n = i / (W * H * C);
    float total = 0.0f;
    for (int a = 0; a < KH; ++a)
        for (int b = 0; b < KW; ++b) {
            int r = (p - a) / SH, s = (q - b) / SW;
            if (p >= a && q >= b && r * SH == p - a && s * SW == q - b && r < OH && s < OW)
                total += windows[((((long long)c * KH * KW + a * KW + b) * N + n) * OH + r) * OW + s];
        }
    x[i] = total;
""",
)


def extract_windows(x: Array, kernel: Pair, stride: Pair, out: Pair, padding: Pair) -> Array:
    """CUDA version of `nn.extract_windows`; x may have any memory layout.

    x       | (C, N, H, W)      | float32 | maps
    returns | (C, T, N, OH, OW) | float32 |
    """
    C, N, H, W = x.shape
    windows = empty((C, prod(kernel), N, *out))
    steps = [step // x.dtype.itemsize for step in x.strides]
    _EXTRACT(C * N * prod(out), x, windows, N, H, W, *steps, *kernel, *stride, *padding, *out)
    return windows


def scatter_windows(windows: Array, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """CUDA version of `nn.scatter_windows`: a thread sums the taps of its pixel in row order, without atomic additions.

    windows | (C, T, N, OH, OW) | float32 |
    returns | (C, N, H, W)      | float32 | a view of a contiguous array (N, C, H, W)
    """
    C, N, H, W = shape
    x = empty((N, C, H, W))
    sum_windows(windows, x, kernel, stride, padding)
    return x.transpose((1, 0, 2, 3))  # (C, N, H, W)


def sum_windows(windows: Array, x: Array, kernel: Pair, stride: Pair, padding: Pair) -> None:
    """Overwrite x (N, C, H, W), contiguous, with the sums of `scatter_windows`, whose axes C and N are swapped."""
    N, C, H, W = x.shape
    _SCATTER(x.size, contiguous(windows), x, C, N, H, W, *kernel, *stride, *padding, *windows.shape[-2:])
