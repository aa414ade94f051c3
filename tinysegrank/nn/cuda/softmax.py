"""CUDA versions of softmax, log-softmax and their backward passes; only the rounding of exp and log differs."""

from __future__ import annotations

from math import prod

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import SoftmaxContext
from tinysegrank.nn.cuda.kernel import Kernel, contiguous, empty

_SOFTMAX = Kernel(
    "tinysegrank_softmax",  # i is cell (n, l)
    "const float* x, float* q, float* log_q, int K, int L, int both",
    """
    long long start = (long long)(i / L) * K * L + i % L;
    float largest = x[start], total = 0.0f;
    for (int k = 1; k < K; ++k) {
        float score = x[start + k * L];
        if (score > largest || score != score) largest = score;
    }
    for (int k = 0; k < K; ++k) total += q[start + k * L] = expf(x[start + k * L] - largest);
    for (int k = 0; k < K; ++k) {
        q[start + k * L] /= total;
        if (both) log_q[start + k * L] = x[start + k * L] - largest - logf(total);
    }
""",
)

_BACKWARD = Kernel(
    "tinysegrank_softmax_backward",  # i is cell (n, l)
    "const float* gradient, const float* q, float* gx, int K, int L, int of_logarithm",
    """
    long long start = (long long)(i / L) * K * L + i % L;
    float total = 0.0f;
    for (int k = 0; k < K; ++k) total += gradient[start + k * L] * (of_logarithm ? 1.0f : q[start + k * L]);
    for (int k = 0; k < K; ++k) {
        float g = gradient[start + k * L], share = q[start + k * L];
        gx[start + k * L] = of_logarithm ? g - share * total : share * (g - total);
    }
""",
)


def softmax(x: Array, *, axis: int, logarithm: bool) -> tuple[Array, SoftmaxContext]:
    """CUDA version of `nn.softmax`, or with `logarithm` of `nn.log_softmax`; the arguments have been checked."""
    q, log_q = empty(x.shape), empty(x.shape if logarithm else (1,))
    K, L = x.shape[axis], prod(x.shape[axis:][1:])
    _SOFTMAX(x.size // K, contiguous(x), q, log_q, K, L, int(logarithm))
    return log_q if logarithm else q, SoftmaxContext(q, axis)


def softmax_backward(gradient: Array, context: SoftmaxContext, *, logarithm: bool) -> Array:
    """CUDA version of `nn.softmax_backward`, or with `logarithm` of `nn.log_softmax_backward`; same arguments."""
    q, axis = context
    gx, K, L = empty(q.shape), q.shape[axis], prod(q.shape[axis:][1:])
    _BACKWARD(q.size // K, contiguous(gradient), contiguous(q), gx, K, L, int(logarithm))
    return gx
