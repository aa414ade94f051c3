"""Softmax and its logarithm along one axis.

Source: the paper's supplement, Eq. 20, and Eqs. 30-42 for the Jacobian dq_k'/dx_k = q_k' ([k = k'] - q_k).
"""

from __future__ import annotations

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError
from tinysegrank.nn.arguments import SoftmaxContext, check_floating, check_gradient, half_in_float32
from tinysegrank.nn.cuda import softmax as cuda
from tinysegrank.nn.cuda import uses_cuda


@half_in_float32
def softmax(x: Array, *, axis: int = 1) -> tuple[Array, SoftmaxContext]:
    """Turn scores into probabilities along `axis`: q_k = exp(x_k) / sum over k' of exp(x_k').

    The largest score is subtracted first, which leaves q the same and keeps exp from overflowing.

    x       | any shape | floating | scores
    returns | as x      | as x     | 0..1, summing to 1 along `axis`
    and the context for `softmax_backward`.

    Raises:
        ShapeError: x is not floating, or the axis does not exist or is empty.
    """
    check_floating("softmax", x=x)
    _check_axis(x, axis)
    if uses_cuda(x):
        return cuda.softmax(x, axis=axis, logarithm=False)
    xp = array_namespace(x)
    powers = xp.exp(x - _largest(x, axis))
    q = powers / xp.sum(powers, axis=axis, keepdims=True)  # Eq. 20
    return q, SoftmaxContext(q, axis)


@half_in_float32
def softmax_backward(gradient: Array, context: SoftmaxContext) -> Array:
    """Return the gradient with respect to x: q_k (gradient_k - sum over k' of gradient_k' q_k'), with q = softmax(x).

    gradient | any shape   | floating    | of the loss with respect to the probabilities
    returns  | as gradient | as gradient |

    Raises:
        ShapeError: the gradient is not floating, or its shape is not the output's.
    """
    q, axis = context
    check_gradient("softmax_backward", gradient, q.shape)
    if uses_cuda(gradient, q):
        return cuda.softmax_backward(gradient, context, logarithm=False)
    xp = array_namespace(gradient)
    return q * (gradient - xp.sum(gradient * q, axis=axis, keepdims=True))  # Eq. 42


@half_in_float32
def log_softmax(x: Array, *, axis: int = 1) -> tuple[Array, SoftmaxContext]:
    """Return the logarithm of `softmax` along `axis`, which is finite even where softmax underflows to 0.

    x       | any shape | floating | scores
    returns | as x      | as x     | at most 0
    and the context for `log_softmax_backward`.

    Raises:
        ShapeError: x is not floating, or the axis does not exist or is empty.
    """
    check_floating("log_softmax", x=x)
    _check_axis(x, axis)
    if uses_cuda(x):
        return cuda.softmax(x, axis=axis, logarithm=True)
    xp = array_namespace(x)
    shifted = x - _largest(x, axis)
    powers = xp.exp(shifted)
    total = xp.sum(powers, axis=axis, keepdims=True)
    return shifted - xp.log(total), SoftmaxContext(powers / total, axis)


@half_in_float32
def log_softmax_backward(gradient: Array, context: SoftmaxContext) -> Array:
    """Return the gradient with respect to x: gradient_k - q_k * sum over k' of gradient_k', with q = softmax(x).

    gradient | any shape   | floating    | of the loss with respect to the log-probabilities
    returns  | as gradient | as gradient |

    Raises:
        ShapeError: the gradient is not floating, or its shape is not the output's.
    """
    q, axis = context
    check_gradient("log_softmax_backward", gradient, q.shape)
    if uses_cuda(gradient, q):
        return cuda.softmax_backward(gradient, context, logarithm=True)
    xp = array_namespace(gradient)
    return gradient - q * xp.sum(gradient, axis=axis, keepdims=True)


def _check_axis(x: Array, axis: int) -> None:
    if not -x.ndim <= axis < x.ndim or x.shape[axis] == 0:
        raise ShapeError(
            f"softmax over axis {axis} of an array of shape {tuple(x.shape)}: no such axis, or it is empty"
        )


def _largest(x: Array, axis: int) -> Array:
    xp = array_namespace(x)
    if xp.isdtype(x.dtype, "complex floating"):  # the complex-step check: any real shift will do
        x = xp.real(x)
    return xp.max(x, axis=axis, keepdims=True)
