"""The layers written as naive loops, from their definitions: what the layer library is compared with."""

from __future__ import annotations

import itertools
import math

import numpy as np

Pair = tuple[int, int]


def conv2d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: Pair = (1, 1), padding: Pair = (0, 0), groups: int = 1
) -> np.ndarray:
    (N, C, H, W), (F, D, KH, KW) = x.shape, weight.shape
    OH, OW = (H + 2 * padding[0] - KH) // stride[0] + 1, (W + 2 * padding[1] - KW) // stride[1] + 1
    y = np.zeros((N, F, OH, OW))
    for n, f, r, s in np.ndindex(N, F, OH, OW):
        total = bias[f]
        group = f // (F // groups)
        for d, i, j in np.ndindex(D, KH, KW):
            row, column = r * stride[0] + i - padding[0], s * stride[1] + j - padding[1]
            if 0 <= row < H and 0 <= column < W:
                total += weight[f, d, i, j] * x[n, group * (C // groups) + d, row, column]
        y[n, f, r, s] = total
    return y


def window_starts(length: int, size: int, stride: int, ceil_mode: bool) -> list[int]:
    """Where windows start: steps from 0 while they fit; with ceil_mode one more to cover the end, if it starts inside.

    Empty where not even the first window fits.
    """
    starts = [s for s in range(0, length, stride) if s + size <= length]
    after = len(starts) * stride
    if ceil_mode and after < length and after - stride + size < length:
        starts.append(after)
    return starts


def windows_of(
    x: np.ndarray, size: Pair, stride: Pair, ceil_mode: bool
) -> list[tuple[tuple[int, int, int, int], list[Pair]]]:
    """The places in x, in row order, of each entry of the output."""
    N, C, H, W = x.shape
    rows, columns = (window_starts(n, k, s, ceil_mode) for n, k, s in zip((H, W), size, stride, strict=True))
    return [
        ((n, c, r, s), [(i, j) for i in range(top, min(top + size[0], H)) for j in range(left, min(left + size[1], W))])
        for n, c in np.ndindex(N, C)
        for (r, top), (s, left) in itertools.product(enumerate(rows), enumerate(columns))
    ]


def max_pool2d(x: np.ndarray, size: Pair = (3, 3), stride: Pair = (2, 2), ceil_mode: bool = True) -> np.ndarray:
    windows = windows_of(x, size, stride, ceil_mode)
    y = np.zeros(np.array([place for place, _ in windows]).max(axis=0) + 1)
    for (n, c, r, s), window in windows:
        y[n, c, r, s] = max(x[n, c, i, j] for i, j in window)
    return y


def max_pool2d_backward(
    gradient: np.ndarray, x: np.ndarray, size: Pair = (3, 3), stride: Pair = (2, 2), ceil_mode: bool = True
) -> np.ndarray:
    """Python's max keeps the first of equal ones."""
    gx = np.zeros_like(x)
    for (n, c, r, s), window in windows_of(x, size, stride, ceil_mode):
        i, j = max(window, key=lambda place: x[n, c, *place])
        gx[n, c, i, j] += gradient[n, c, r, s]
    return gx


def local_response_norm(
    x: np.ndarray, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> np.ndarray:
    y = np.zeros_like(x)
    for n, c, *place in np.ndindex(x.shape):
        near = range(max(0, c - size // 2), min(x.shape[1], c + size // 2 + 1))
        energy = sum(float(x[n, other, *place]) ** 2 for other in near)
        y[n, c, *place] = x[n, c, *place] / (k + alpha / size * energy) ** beta
    return y


def relu(x: np.ndarray) -> np.ndarray:
    return np.array([value if value > 0 else 0.0 for value in x.ravel()]).reshape(x.shape)


def log_softmax(x: np.ndarray, axis: int = 1) -> np.ndarray:
    y = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        line = [float(v) for v in x[tuple(slice(None) if a == axis % x.ndim else i for a, i in enumerate(place))]]
        highest = max(line)
        y[place] = x[place] - highest - math.log(math.fsum(math.exp(v - highest) for v in line))
    return y


def softmax(x: np.ndarray, axis: int = 1) -> np.ndarray:
    y = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        line = [float(v) for v in x[tuple(slice(None) if a == axis % x.ndim else i for a, i in enumerate(place))]]
        y[place] = math.exp(x[place]) / math.fsum(math.exp(v) for v in line)
    return y


def extract_windows(x: np.ndarray, kernel: Pair, stride: Pair, out: Pair) -> np.ndarray:
    C, N, _, _ = x.shape
    y = np.zeros((C, kernel[0] * kernel[1], N, *out), x.dtype)
    for c, i, j, n, r, s in np.ndindex(C, *kernel, N, *out):
        y[c, i * kernel[1] + j, n, r, s] = x[c, n, r * stride[0] + i, s * stride[1] + j]
    return y


def scatter_windows(windows: np.ndarray, shape: tuple[int, ...], kernel: Pair, stride: Pair) -> np.ndarray:
    C, _, N, *out = windows.shape
    x = np.zeros(shape, windows.dtype)
    for c, i, j, n, r, s in np.ndindex(C, *kernel, N, *out):
        x[c, n, r * stride[0] + i, s * stride[1] + j] += windows[c, i * kernel[1] + j, n, r, s]
    return x
