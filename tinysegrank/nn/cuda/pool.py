"""CUDA versions of `max_pool2d` and `max_pool2d_backward`; windows are clipped instead of repeating the map's edge."""

from __future__ import annotations

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import Pair, PoolContext
from tinysegrank.nn.cuda.kernel import Kernel, contiguous, empty

_POOL = Kernel(
    "tinysegrank_max_pool2d",  # i is window (map, r, s)
    "const float* x, float* y, int H, int W, int KH, int KW, int SH, int SW, int OH, int OW",
    """
    int s = i % OW * SW, r = i / OW % OH * SH;
    x += (long long)(i / (OW * OH)) * H * W;
    float largest = x[r * W + s];
    for (int p = r; p < min(r + KH, H); ++p)
        for (int q = s; q < min(s + KW, W); ++q) {
            float value = x[p * W + q];
            if (value > largest || value != value) largest = value;  // a NaN is greater than anything
        }
    y[i] = largest;
""",
)

_BACKWARD = Kernel(
    "tinysegrank_max_pool2d_backward",  # i is pixel (map, p, q)
    "const float* gradient, const float* x, const float* y, float* gx, int H, int W, int KH, int KW, int SH, "
    "int SW, int OH, int OW",
    """
    int q = i % W, p = i / W % H, map = i / (W * H);
    float value = x[i], total = 0.0f;
    x += map * H * W;
    for (int a = 0; a < KH && a <= p; ++a)
        for (int b = 0; b < KW && b <= q; ++b) {  // tap (a, b) of window (r, s)
            int r = (p - a) / SH, s = (q - b) / SW, window = (map * OH + r) * OW + s;
            if (r * SH != p - a || s * SW != q - b || r >= OH || s >= OW || value != y[window]) continue;
            bool first = true;  // does no tap before this one equal the maximum?
            for (int t = 0; t < a * KW + b; ++t) {
                int row = p - a + t / KW, column = q - b + t % KW;
                if (column < W && x[row * W + column] == value) first = false;
            }
            if (first) total += gradient[window];
        }
    gx[i] = total;
""",
)


def max_pool2d(x: Array, size: Pair, stride: Pair, out: Pair) -> tuple[Array, PoolContext]:
    """CUDA version of `nn.max_pool2d` on x (N, C, H, W); the others are (height, width), and have been checked."""
    x, y = contiguous(x), empty((*x.shape[:2], *out))
    _POOL(y.size, x, y, *x.shape[2:], *size, *stride, *out)
    return y, PoolContext(x, y, size, stride)


def max_pool2d_backward(gradient: Array, context: PoolContext) -> Array:
    """CUDA version of `nn.max_pool2d_backward`: each pixel sums gradients of windows whose first maximum it is."""
    x, y, size, stride = context
    gx = empty(x.shape)
    _BACKWARD(gx.size, contiguous(gradient), x, y, gx, *x.shape[2:], *size, *stride, *y.shape[2:])
    return gx
