"""CUDA version of a step of `SGD`; only the order in which the gradients' squares are summed differs."""

from __future__ import annotations

from collections.abc import Collection

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.nn.cuda.kernel import Kernel, contiguous, empty

_SQUARES = Kernel(
    "tinysegrank_squares",
    "const float* gradient, float* sums, int entries",
    """
    float sum = 0.0f;
    for (long long j = i; j < entries; j += count) sum += gradient[j] * gradient[j];
    sums[i] = sum;
""",
)

_SCALE = Kernel(
    "tinysegrank_clip",
    "const float* square, float* scale, float max_norm",
    """
    float norm = sqrtf(square[0]);
    float part = max_norm / (norm > 0.0f ? norm : 1.0f);
    scale[0] = part < 1.0f ? part : 1.0f;
""",
)

_STEP = Kernel(
    "tinysegrank_sgd",
    "const float* w, const float* gradient, const float* velocity, const float* scale, float* new_velocity, "
    "float* new_w, float rate, float momentum, float decay",
    """
    new_velocity[i] = momentum * velocity[i] + rate * (gradient[i] * scale[0] + decay * w[i]);
    new_w[i] = w[i] - new_velocity[i];
""",
)
SUMS = 4096  # threads that sum an array's squares, each making a partial sum


def clip_scale(gradients: Collection[Array], max_norm: float | None) -> Array:
    """Return the factor by which `nn.clip_by_norm` scales the gradients, as a 0-d array; 1 if `max_norm` is None."""
    scale, limit = empty(()), float("inf") if max_norm is None else float(max_norm)
    sums = empty((len(gradients), SUMS))
    for row, gradient in zip(range(len(gradients)), gradients, strict=True):
        _SQUARES(SUMS, contiguous(gradient), sums[row], gradient.size)
    _SCALE(1, sums.sum(), scale, limit)
    return scale


def step(
    w: Array, gradient: Array, velocity: Array | None, rate: float, momentum: float, decay: float, *, scale: Array
) -> tuple[Array, Array]:
    """Return the new velocity and the new value of w, by the gradient times `scale`; a velocity of None is 0."""
    before = contiguous(array_namespace(w).zeros_like(w) if velocity is None else velocity)
    new_velocity, new_w = empty(w.shape), empty(w.shape)
    arrays = contiguous(w), contiguous(gradient), before, scale, new_velocity, new_w
    _STEP(w.size, *arrays, float(rate), float(momentum), float(decay))
    return new_velocity, new_w
