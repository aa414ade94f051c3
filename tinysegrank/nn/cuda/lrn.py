"""CUDA versions of `local_response_norm` and its backward pass; only the rounding of the power differs."""

from __future__ import annotations

from math import prod

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import NormContext
from tinysegrank.nn.cuda.kernel import Kernel, contiguous, empty

_NORM = Kernel(
    "tinysegrank_local_response_norm",  # i is entry (n, c, l)
    "const float* x, float* y, float* scale, int C, int L, int size, float share, float beta, float k",
    """
    int c = i / L % C;
    float energy = 0.0f;
    for (int d = max(-(size / 2), -c); d <= min(size / 2, C - 1 - c); ++d)
        energy += x[i + d * L] * x[i + d * L];
    scale[i] = k + share * energy;
    y[i] = x[i] * powf(scale[i], -beta);
""",
)

_BACKWARD = Kernel(
    "tinysegrank_local_response_norm_backward",  # i is entry (n, c, l)
    "const float* gradient, const float* x, const float* scale, float* gx, int C, int L, int size, float factor, "
    "float beta",
    """
    int c = i / L % C;
    float shared = 0.0f;
    for (int d = max(-(size / 2), -c); d <= min(size / 2, C - 1 - c); ++d) {
        int j = i + d * L;
        shared += gradient[j] * x[j] * powf(scale[j], -beta) / scale[j];
    }
    gx[i] = gradient[i] * powf(scale[i], -beta) - factor * x[i] * shared;
""",
)


def local_response_norm(x: Array, *, size: int, alpha: float, beta: float, k: float) -> tuple[Array, NormContext]:
    """CUDA version of `nn.local_response_norm` on x (N, C, ...); the arguments have been checked."""
    x, y, scale = contiguous(x), empty(x.shape), empty(x.shape)
    _NORM(x.size, x, y, scale, x.shape[1], prod(x.shape[2:]), size, float(alpha / size), float(beta), float(k))
    return y, NormContext(x, scale, size, alpha, beta)


def local_response_norm_backward(gradient: Array, context: NormContext) -> Array:
    """CUDA version of `nn.local_response_norm_backward`: return the gradient with respect to x (N, C, ...)."""
    x, scale, size, alpha, beta = context
    gx, factor = empty(x.shape), 2.0 * alpha * beta / size
    _BACKWARD(x.size, contiguous(gradient), x, scale, gx, x.shape[1], prod(x.shape[2:]), size, factor, float(beta))
    return gx
