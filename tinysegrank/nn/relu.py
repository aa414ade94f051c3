"""Rectified linear unit."""

from __future__ import annotations

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import check_floating
from tinysegrank.nn.cuda import uses_cuda
from tinysegrank.nn.fast import uses_numba


def relu(x: Array) -> tuple[Array, Array]:
    """Return max(x, 0), entry by entry.

    x       | any shape | real floating | activations
    returns | as x      | as x          | at least 0; NaN stays NaN
    and the context for `relu_backward`: where x > 0.

    Raises:
        ShapeError: x is not real floating.
    """
    check_floating("relu", real=True, x=x)
    if uses_cuda(x):
        from tinysegrank.nn.cuda import relu as cuda

        return cuda.relu(x)
    xp = array_namespace(x)
    return xp.maximum(x, xp.zeros_like(x)), x > 0


def relu_backward(gradient: Array, context: Array) -> Array:
    """Let the gradient through where x > 0; at exactly 0 the subgradient 0 is taken, as Caffe and torch do.

    gradient | any shape   | floating    | of the loss with respect to the output
    returns  | as gradient | as gradient |
    """
    check_floating("relu_backward", gradient=gradient)
    if uses_numba(gradient):
        from tinysegrank.nn.fast import pointwise

        return pointwise.relu_backward(gradient, context)
    if uses_cuda(gradient) and gradient.shape == context.shape:
        from tinysegrank.nn.cuda import relu as cuda

        return cuda.relu_backward(gradient, context)
    xp = array_namespace(gradient)
    return xp.where(context, gradient, xp.zeros_like(gradient))
