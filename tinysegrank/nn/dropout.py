"""Inverted dropout: entries that are kept are scaled up in training, so that evaluation is the identity.

Source: Hinton et al. (2012), cited by the paper as [16]; the scaling by 1 / (1 - p) is Caffe's.
"""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError
from tinysegrank.nn.arguments import check_floating, check_gradient, plain
from tinysegrank.nn.cuda import dropout as cuda
from tinysegrank.nn.cuda import uses_cuda
from tinysegrank.nn.fast import uses_numba


def dropout(x: Array, *, p: float, rng: np.random.Generator | None) -> tuple[Array, Array | None]:
    """Set each entry to 0 with probability p, and multiply the others by 1 / (1 - p).

    The generator draws one float32 per entry in C order, so every backend drops the same entries. With rng=None
    (evaluation) or p=0, x itself is returned.

    x       | any shape | floating | activations
    returns | as x      | as x     |
    and the context for `dropout_backward`: an array of the multipliers, or None where x itself is returned.

    Raises:
        ShapeError: x is not floating, or p is not in [0, 1).
    """
    check_floating("dropout", x=x)
    if not 0 <= p < 1:
        raise ShapeError(f"dropout: p={p} is not a probability in [0, 1)")
    if rng is None or p == 0:
        return x, None
    p = plain(p)
    if uses_numba(x):
        from tinysegrank.nn.fast import pointwise

        return pointwise.dropout(x, p=p, rng=rng)
    if uses_cuda(x) and cuda.can_jump(rng, x.size):
        return cuda.dropout(x, p=p, rng=rng)
    xp = array_namespace(x)
    keep = rng.random(tuple(x.shape), dtype=np.float32) >= np.float32(p)
    scale = xp.astype(xp.asarray(keep, device=device(x)), x.dtype) * (1.0 / (1.0 - p))
    return x * scale, scale


def dropout_backward(gradient: Array, context: Array | None) -> Array:
    """Return the gradient times the forward pass's multipliers; return the gradient itself if the context is None.

    gradient | any shape   | floating    | of the loss with respect to the output
    returns  | as gradient | as gradient |

    Raises:
        ShapeError: the gradient is not floating, or its shape is not the output's.
    """
    check_gradient("dropout_backward", gradient, gradient.shape if context is None else context.shape)
    return gradient if context is None else gradient * context
