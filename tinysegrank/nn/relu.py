"""Rectified linear unit."""

from __future__ import annotations

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import check_floating, check_gradient
from tinysegrank.nn.cuda import relu as cuda
from tinysegrank.nn.cuda import uses_cuda
from tinysegrank.nn.fast import uses_numba


def relu(x: Array) -> tuple[Array, Array]:
    """Return max(x, 0), entry by entry.

    x       | any shape | real floating | activations
    returns | as x      | as x          | at least 0; NaN stays NaN
    and the context for `relu_backward`: a boolean array, true where x > 0.

    Raises:
        ShapeError: x is not real floating.
    """
    check_floating("relu", real=True, x=x)
    if uses_cuda(x):
        return cuda.relu(x)
    xp = array_namespace(x)
    return xp.maximum(x, xp.zeros_like(x)), x > 0


def relu_backward(gradient: Array, context: Array) -> Array:
    """Return the gradient where x > 0, and 0 elsewhere; at x = 0 this is the subgradient that Caffe and torch take.

    gradient | any shape   | floating    | of the loss with respect to the output
    context  | as gradient | boolean     | true where x > 0
    returns  | as gradient | as gradient |

    Raises:
        ShapeError: the gradient is not floating, or its shape is not the output's.
    """
    check_gradient("relu_backward", gradient, context.shape)
    if uses_numba(gradient):
        from tinysegrank.nn.fast import pointwise

        return pointwise.relu_backward(gradient, context)
    if uses_cuda(gradient):
        return cuda.relu_backward(gradient, context)
    xp = array_namespace(gradient)
    return xp.where(context, gradient, xp.zeros_like(gradient))
