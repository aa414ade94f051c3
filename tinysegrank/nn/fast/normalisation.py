"""The twin of `nn.lrn`, on maps with channels last: a pixel's channels are one row of numbers.

SegNet's exponent of 3/4 needs no power: s^-3/4 = 1 / (r sqrt(r)) with r = sqrt(s).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tinysegrank.errors import ShapeError
from tinysegrank.nn.fast.geometry import jobs
from tinysegrank.nn.fast.threads import Stage, run_stages
from tinysegrank.nn.windows import Pair

_jit = njit(cache=True, nogil=True, error_model="numpy")


def local_response_norm(
    x: np.ndarray, *, size: int, alpha: float, beta: float, k: float
) -> tuple[np.ndarray, np.ndarray]:
    """Do as `nn.local_response_norm`, to 1e-5 of the largest output of exact arithmetic.

    x       | (N, C, H, W) | float32 | activations
    returns | as x         | float32 | y, and the scale s; channels last in memory
    """
    maps = np.ascontiguousarray(x.transpose(0, 2, 3, 1))  # (N, H, W, C)
    y, scale = np.empty_like(maps), np.empty_like(maps)
    pixels = [array.reshape(-1, x.shape[1]) for array in (maps, scale, y)]  # (N * H * W, C)
    parts = jobs(len(pixels[0]), 4 * x.size)
    run_stages([(lambda job: _norm(pixels[0], size, alpha, beta, k, parts[job], *pixels[1:]), len(parts))])
    return y.transpose(0, 3, 1, 2), scale.transpose(0, 3, 1, 2)


def local_response_norm_backward(
    gradient: np.ndarray, x: np.ndarray, scale: np.ndarray, size: int, alpha: float, beta: float
) -> np.ndarray:
    """Do as `nn.local_response_norm_backward`, to 1e-5 of the largest entry of exact arithmetic.

    gradient | (N, C, H, W) | float32 | of the loss with respect to the output
    returns  | as gradient  | float32 | channels last in memory

    Raises:
        ShapeError: the gradient is not of the output's shape.
    """
    if gradient.shape != x.shape:
        raise ShapeError(f"local_response_norm_backward: a gradient of shape {gradient.shape} for one of {x.shape}")
    maps = [np.ascontiguousarray(array.transpose(0, 2, 3, 1)) for array in (gradient, x, scale)]  # (N, H, W, C)
    gx = np.empty_like(maps[0])
    pixels = [array.reshape(-1, x.shape[1]) for array in (*maps, gx)]  # (N * H * W, C)
    parts = jobs(len(pixels[0]), 4 * x.size)
    run_stages([(lambda job: _norm_backward(*pixels[:3], size, alpha, beta, parts[job], pixels[3]), len(parts))])
    return gx.transpose(0, 3, 1, 2)


def norm_stage(x: np.ndarray, *, size: int, alpha: float, beta: float, k: float) -> Stage:
    """Normalise x (n, H, W, C) in its place."""
    pixels = x.reshape(-1, x.shape[3])
    parts = jobs(len(pixels), 4 * x.size)
    return (lambda job: _norm_in_place(pixels, size, alpha, beta, k, parts[job])), len(parts)


@_jit  # type: ignore[untyped-decorator]
def _norm(
    x: np.ndarray, size: int, alpha: float, beta: float, k: float, rows: Pair, scale: np.ndarray, y: np.ndarray
) -> None:
    """Rows of x, scale, y (M, C)."""
    padded = np.zeros(x.shape[1] + size - 1, np.float32)
    for row in range(rows[0], rows[1]):
        _scale(x[row], x[row], size, alpha, k, padded, scale[row])
        _power(scale[row], beta, y[row])
        for c in range(x.shape[1]):
            y[row, c] *= x[row, c]


@_jit  # type: ignore[untyped-decorator]
def _norm_in_place(x: np.ndarray, size: int, alpha: float, beta: float, k: float, rows: Pair) -> None:
    padded = np.zeros(x.shape[1] + size - 1, np.float32)
    scale = np.empty(x.shape[1], np.float32)
    for row in range(rows[0], rows[1]):
        _scale(x[row], x[row], size, alpha, k, padded, scale)
        _power(scale, beta, scale)
        for c in range(x.shape[1]):
            x[row, c] *= scale[c]


@_jit  # type: ignore[untyped-decorator]
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
    """Rows of gradient, x, scale and gx (M, C)."""
    padded = np.zeros(x.shape[1] + size - 1, np.float32)
    power, share, shared = np.empty_like(padded), np.empty_like(padded), np.empty_like(padded)
    factor = np.float32(2.0 * beta)
    for row in range(rows[0], rows[1]):
        _power(scale[row], beta, power)
        for c in range(x.shape[1]):
            share[c] = gradient[row, c] * power[c] / scale[row, c]
        _scale(x[row], share, size, alpha, 0.0, padded, shared)
        for c in range(x.shape[1]):
            gx[row, c] = gradient[row, c] * power[c] - factor * x[row, c] * shared[c]


@_jit  # type: ignore[untyped-decorator]
def _scale(
    a: np.ndarray, b: np.ndarray, size: int, alpha: float, k: float, padded: np.ndarray, out: np.ndarray
) -> None:
    """k + alpha / size * the sums of a * b over `size` neighbours; `padded` is 0 at its ends."""
    C = a.size
    for c in range(C):
        padded[size // 2 + c] = a[c] * b[c]
        out[c] = 0
    for shift in range(size):
        for c in range(C):
            out[c] += padded[shift + c]
    weight, least = np.float32(alpha / size), np.float32(k)
    for c in range(C):
        out[c] = least + weight * out[c]


@_jit  # type: ignore[untyped-decorator]
def _power(scale: np.ndarray, beta: float, out: np.ndarray) -> None:
    """scale^-beta."""
    exponent = np.float32(-beta)
    if beta == 0.75:
        for c in range(scale.size):
            root = np.sqrt(scale[c])
            out[c] = np.float32(1) / (root * np.sqrt(root))
    else:
        for c in range(scale.size):
            out[c] = scale[c] ** exponent
