"""CUDA versions of `relu` and `relu_backward`."""

from __future__ import annotations

from tinysegrank.backend import Array
from tinysegrank.nn.cuda.kernel import Kernel, contiguous, empty

_RELU = Kernel(
    "tinysegrank_relu",
    "const float* x, float* y, bool* positive",
    """
    y[i] = x[i] < 0.0f ? 0.0f : x[i];  // NaN stays NaN
    positive[i] = x[i] > 0.0f;
""",
)

_BACKWARD = Kernel(
    "tinysegrank_relu_backward",
    "const float* gradient, const bool* positive, float* gx",
    """
    gx[i] = positive[i] ? gradient[i] : 0.0f;
""",
)


def relu(x: Array) -> tuple[Array, Array]:
    """CUDA version of `nn.relu`: return max(x, 0), and a boolean array that is true where x > 0."""
    y, positive = empty(x.shape), empty(x.shape, bool)
    _RELU(x.size, contiguous(x), y, positive)
    return y, positive


def relu_backward(gradient: Array, positive: Array) -> Array:
    """CUDA version of `nn.relu_backward`: return the gradient where `positive` is true, and 0 elsewhere."""
    gx = empty(gradient.shape)
    _BACKWARD(gx.size, contiguous(gradient), contiguous(positive), gx)
    return gx
