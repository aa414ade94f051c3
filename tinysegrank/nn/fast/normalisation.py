"""Numba version of `nn.lrn`, on maps with channels last: the channels of a pixel are one contiguous row.

SegNet's exponent of 3/4 is computed from square roots: s^-3/4 = 1 / (r sqrt(r)) with r = sqrt(s).
"""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.fold import channels_last
from tinysegrank.nn.fast.threads import share


def local_response_norm(
    x: np.ndarray, *, size: int, alpha: float, beta: float, k: float
) -> tuple[np.ndarray, np.ndarray]:
    """Numba version of `nn.local_response_norm`; errors are at most 1e-5 of the largest output.

    x       | (N, C, H, W) | float32 | activations
    returns | as x         | float32 | output, and s of `nn.local_response_norm`; both with channels last in memory
    """
    maps = channels_last(x)  # (N, H, W, C)
    y, scale = np.empty_like(maps), np.empty_like(maps)
    pixels = [array.reshape(-1, x.shape[1]) for array in (maps, scale, y)]  # (N * H * W, C)
    share(lambda *rows: _norm(pixels[0], size, alpha, beta, k, rows, *pixels[1:]), len(pixels[0]), 4 * x.size)
    return y.transpose(0, 3, 1, 2), scale.transpose(0, 3, 1, 2)


def local_response_norm_backward(
    gradient: np.ndarray, x: np.ndarray, scale: np.ndarray, size: int, alpha: float, beta: float
) -> np.ndarray:
    """Numba version of `nn.local_response_norm_backward`; errors are at most 1e-5 of the largest entry.

    gradient | (N, C, H, W) | float32 | of the loss with respect to the output
    x, scale | as gradient  | float32 | input of the forward pass, and the s that it returned
    returns  | as gradient  | float32 | channels last in memory
    """
    maps = [channels_last(array) for array in (gradient, x, scale)]  # (N, H, W, C)
    gx = np.empty_like(maps[0])
    gradients, inputs, scales, made = (array.reshape(-1, x.shape[1]) for array in (*maps, gx))  # (N * H * W, C)
    share(lambda *rows: _norm_backward(gradients, inputs, scales, size, alpha, beta, rows, made), len(made), 4 * x.size)
    return gx.transpose(0, 3, 1, 2)


@compiled(error_model="numpy")
def _norm(
    x: np.ndarray, size: int, alpha: float, beta: float, k: float, rows: Pair, scale: np.ndarray, y: np.ndarray
) -> None:
    """Write rows[0]..rows[1]-1 of x (M, C), normalised, to y (M, C), and their s to `scale` (M, C)."""
    padded = np.zeros(x.shape[1] + size - 1, np.float32)
    for row in range(rows[0], rows[1]):
        _scale(x[row], x[row], size, alpha, k, padded, scale[row])
        _times_power(x[row], scale[row], beta, y[row])


@compiled(error_model="numpy")
def norm_in_place(x: np.ndarray, options: tuple[int, float, float, float], rows: Pair) -> None:
    """Normalise rows[0]..rows[1]-1 of x (M, C) in place, through a buffer; options are (size, alpha, beta, k)."""
    (size, alpha, beta, k), C = options, x.shape[1]
    padded, scale, y = np.zeros(C + size - 1, np.float32), np.empty(C, np.float32), np.empty(C, np.float32)
    for row in range(rows[0], rows[1]):
        _scale(x[row], x[row], size, alpha, k, padded, scale)
        _times_power(x[row], scale, beta, y)
        for c in range(C):
            x[row, c] = y[c]


@compiled(error_model="numpy")
def _norm_backward(
    gradient: np.ndarray,
    x: np.ndarray,
    scale: np.ndarray,
    size: int,
    alpha: float,
    beta: float,
    rows: Pair,
    gx: np.ndarray,
) -> None:
    """Fill rows[0]..rows[1]-1 of gx, the gradient with respect to x; all arrays are (M, C)."""
    padded = np.zeros(x.shape[1] + size - 1, np.float32)
    C = x.shape[1]
    kept, share, shared = np.empty(C, np.float32), np.empty(C, np.float32), np.empty(C, np.float32)
    factor = np.float32(2.0 * beta)
    for row in range(rows[0], rows[1]):
        _times_power(gradient[row], scale[row], beta, kept)
        for c in range(x.shape[1]):
            share[c] = kept[c] / scale[row, c]
        _scale(x[row], share, size, alpha, 0.0, padded, shared)
        for c in range(x.shape[1]):
            gx[row, c] = kept[c] - factor * x[row, c] * shared[c]


@compiled(error_model="numpy")
def _scale(
    a: np.ndarray, b: np.ndarray, size: int, alpha: float, k: float, padded: np.ndarray, out: np.ndarray
) -> None:
    """Fill out[c] with k + alpha / size * the sum of a * b over the `size` channels centred at c.

    a, b and `out` are (C,); `padded` is a buffer (C + size - 1,) whose first and last size // 2 entries are 0.
    """
    C, weight, least = a.size, np.float32(alpha / size), np.float32(k)
    for c in range(C):
        padded[size // 2 + c] = a[c] * b[c]
    if size == 5:  # SegNet's size, unrolled: each sum stays in a register
        for c in range(C):
            out[c] = least + weight * (padded[c] + padded[c + 1] + padded[c + 2] + padded[c + 3] + padded[c + 4])
    else:
        for c in range(C):
            total = np.float32(0)
            for shift in range(size):
                total += padded[c + shift]
            out[c] = least + weight * total


@compiled(error_model="numpy")
def _times_power(x: np.ndarray, scale: np.ndarray, beta: float, out: np.ndarray) -> None:
    """Fill `out` with x * scale^-beta, all (C,); if `out` overlaps x, the loop isn't vectorised."""
    exponent = np.float32(-beta)
    if beta == 0.75:
        for c in range(scale.size):
            root = np.sqrt(scale[c])
            out[c] = x[c] / (root * np.sqrt(root))
    else:
        for c in range(scale.size):
            out[c] = x[c] * scale[c] ** exponent
