"""Numba version of `nn.lrn`, on maps with channels last: the channels of a pixel are one contiguous row.

SegNet's exponent of 3/4 is computed from square roots: s^-3/4 = 1 / (r sqrt(r)) with r = sqrt(s).

A lesson: normalising a row in place was expected to be as fast as writing it to another array. It took 4.3 ns per
number instead of 1.4 ns: a loop that might overwrite its own input checks for that at run time, and then isn't
vectorised. So each row is written to a buffer and copied back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.errors import ShapeError
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.fold import channels_last
from tinysegrank.nn.fast.threads import share


class Norm(NamedTuple):
    """Options of a local response normalisation; size 0 means that there is none."""

    size: int = 0
    alpha: float = 0.0
    beta: float = 0.0
    k: float = 0.0


def local_response_norm(x: np.ndarray, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    """Numba version of `nn.local_response_norm`; errors are at most 1e-5 of the largest exact output.

    x       | (N, C, H, W) | float32 | activations
    returns | as x         | float32 | y, and the scale s; channels last in memory
    """
    y = np.array(x.transpose(0, 2, 3, 1), order="C")  # (N, H, W, C), a copy
    scale = np.empty_like(y)
    rows, flat = y.reshape(-1, x.shape[1]), scale.reshape(-1)  # (N * H * W, C), and its entries
    share(lambda *part: norm_rows(rows, norm, part, flat), len(rows), 4 * x.size)
    return y.transpose(0, 3, 1, 2), scale.transpose(0, 3, 1, 2)


def local_response_norm_backward(gradient: np.ndarray, x: np.ndarray, scale: np.ndarray, norm: Norm) -> np.ndarray:
    """Numba version of `nn.local_response_norm_backward`; errors are at most 1e-5 of the largest exact entry.

    gradient | (N, C, H, W) | float32 | of the loss with respect to the output
    returns  | as gradient  | float32 | channels last in memory

    Raises:
        ShapeError: the gradient's shape is not the output's.
    """
    if gradient.shape != x.shape:
        raise ShapeError(
            f"local_response_norm_backward: gradient has shape {gradient.shape}; give the output's, {x.shape}"
        )
    maps = [channels_last(array) for array in (gradient, x, scale)]  # (N, H, W, C)
    gx = np.empty_like(maps[0])
    gradients, inputs, scales, made = (array.reshape(-1, x.shape[1]) for array in (*maps, gx))  # (N * H * W, C)
    share(lambda *rows: _norm_backward(gradients, inputs, scales, norm, rows, made), len(made), 4 * x.size)
    return gx.transpose(0, 3, 1, 2)


@compiled(error_model="numpy")
def norm_rows(x: np.ndarray, norm: Norm, rows: Pair, scale: np.ndarray) -> None:
    """Normalise rows[0]..rows[1]-1 of x (M, C) in place.

    The scale s is stored in `scale`, (M * C,), or in a buffer for one row, (C,), where it isn't needed later.
    """
    C = x.shape[1]
    padded, y = np.zeros(C + norm.size - 1, np.float32), np.empty(C, np.float32)
    for row in range(rows[0], rows[1]):
        start = row * C % scale.size
        held = scale[start : start + C]
        _scale(x[row], x[row], norm.size, norm.alpha, norm.k, padded, held)
        _times_power(x[row], held, norm.beta, y)
        for c in range(C):
            x[row, c] = y[c]


@compiled(error_model="numpy")
def _norm_backward(
    gradient: np.ndarray, x: np.ndarray, scale: np.ndarray, norm: Norm, rows: Pair, gx: np.ndarray
) -> None:
    """Fill rows[0]..rows[1]-1 of gx, the gradient with respect to x; all arrays are (M, C)."""
    C = x.shape[1]
    padded = np.zeros(C + norm.size - 1, np.float32)
    kept, share, shared = np.empty(C, np.float32), np.empty(C, np.float32), np.empty(C, np.float32)
    factor = np.float32(2.0 * norm.beta)
    for row in range(rows[0], rows[1]):
        _times_power(gradient[row], scale[row], norm.beta, kept)
        for c in range(C):
            share[c] = kept[c] / scale[row, c]
        _scale(x[row], share, norm.size, norm.alpha, 0.0, padded, shared)
        for c in range(C):
            gx[row, c] = kept[c] - factor * x[row, c] * shared[c]


@compiled(error_model="numpy")
def _scale(
    a: np.ndarray, b: np.ndarray, size: int, alpha: float, k: float, padded: np.ndarray, out: np.ndarray
) -> None:
    """Fill `out` with k + alpha / size * the sum of a * b over `size` neighbours; `padded` is a buffer with 0 ends."""
    C, weight, least = a.size, np.float32(alpha / size), np.float32(k)
    for c in range(C):
        padded[size // 2 + c] = a[c] * b[c]
    for c in range(C):
        out[c] = padded[c]
    for shift in range(1, size):
        for c in range(C):
            out[c] += padded[c + shift]
    for c in range(C):
        out[c] = least + weight * out[c]


@compiled(error_model="numpy")
def _times_power(x: np.ndarray, scale: np.ndarray, beta: float, out: np.ndarray) -> None:
    """Fill `out` with x * scale^-beta; `out` must not overlap x, or the loop is not vectorised."""
    exponent = np.float32(-beta)
    if beta == 0.75:
        for c in range(scale.size):
            root = np.sqrt(scale[c])
            out[c] = x[c] / (root * np.sqrt(root))
    else:
        for c in range(scale.size):
            out[c] = x[c] * scale[c] ** exponent
