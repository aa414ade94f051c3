"""Local response normalisation across channels, as Caffe computes it: alpha divided by the size, k = 1.

Source: Caffe's LRNLayer (ACROSS_CHANNELS); Krizhevsky et al. (2012), section 3.3, where alpha is not divided and k = 2.
"""

from __future__ import annotations

import array_api_extra as xpx

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError
from tinysegrank.nn.arguments import (
    NormContext,
    check_floating,
    check_gradient,
    check_norm_size,
    half_in_float32,
    plain,
)
from tinysegrank.nn.cuda import lrn as cuda
from tinysegrank.nn.cuda import uses_cuda
from tinysegrank.nn.fast import uses_numba


@half_in_float32
def local_response_norm(
    x: Array, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[Array, NormContext]:
    """Divide each activation by a power of the energy of its channel and the neighbouring ones.

    y_c = x_c * s_c^-beta, where s_c = k + alpha / size * sum of x_c'^2 over the `size` channels c' centred at c, as far
    as they exist.

    x       | (N, C, ...) | floating | activations
    returns | (N, C, ...) | as x     |
    and the context for `local_response_norm_backward`.

    Raises:
        ShapeError: x is not floating, has fewer than two axes, or size is not odd and positive.
    """
    check_floating("local_response_norm", x=x)
    if x.ndim < 2:
        raise ShapeError(f"local_response_norm takes x (N, C, ...), not {tuple(x.shape)}")
    check_norm_size(size)
    size, alpha, beta, k = map(plain, (size, alpha, beta, k))
    if x.ndim == 4 and uses_numba(x):
        from tinysegrank.nn.fast import normalisation

        y, scale = normalisation.local_response_norm(x, size=size, alpha=alpha, beta=beta, k=k)
        return y, NormContext(x, scale, size, alpha, beta)
    if uses_cuda(x):
        return cuda.local_response_norm(x, size=size, alpha=alpha, beta=beta, k=k)
    scale = k + (alpha / size) * _channel_sum(x * x, size)
    return x * scale**-beta, NormContext(x, scale, size, alpha, beta)


@half_in_float32
def local_response_norm_backward(gradient: Array, context: NormContext) -> Array:
    """Return the gradient with respect to x.

    dy_c'/dx_c = [c = c'] s_c^-beta - 2 (alpha / size) beta x_c x_c' s_c'^(-beta-1) for each c in the window of c'. As
    size is odd, these c' are the window of c, so the backward pass sums over the same windows as the forward pass.

    gradient | (N, C, ...) | floating    | of the loss with respect to the output
    returns  | (N, C, ...) | as gradient |

    Raises:
        ShapeError: the gradient is not floating, or its shape is not the output's.
    """
    x, scale, size, alpha, beta = context
    check_gradient("local_response_norm_backward", gradient, x.shape)
    if x.ndim == 4 and uses_numba(gradient, x):
        from tinysegrank.nn.fast import normalisation

        return normalisation.local_response_norm_backward(gradient, x, scale, size, alpha, beta)
    if uses_cuda(gradient, x):
        return cuda.local_response_norm_backward(gradient, context)
    power = scale**-beta
    shared = _channel_sum(gradient * x * power / scale, size)
    return gradient * power - (2.0 * alpha * beta / size) * x * shared


def _channel_sum(x: Array, size: int) -> Array:
    """Sum over the `size` channels around each, by shifted slices: a cumulative sum would lose digits in float32."""
    if size == 1:
        return x
    C = x.shape[1]
    padded = xpx.pad(x, [(0, 0), (size // 2, size // 2)] + [(0, 0)] * (x.ndim - 2))  # (N, C + size - 1, ...)
    total = padded[:, :C, ...] + padded[:, 1 : 1 + C, ...]  # (N, C, ...)
    for shift in range(2, size):
        total += padded[:, shift : shift + C, ...]
    return total
