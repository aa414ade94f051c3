"""Space-to-depth, which turns a convolution of stride s into one of stride 1 with s * s times the channels.

Pixel (s * h + i, s * w + j) of channel c becomes pixel (h, w) of channel (c, i, j). The taps of a filter are rearranged
in the same way, so that K x K of them become k x k, with k = K / s rounded up.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.nn.arguments import Pair

Shape = tuple[int, int, int, int]


def folded_size(K: int, stride: int) -> int:
    """Return the kernel size after the stride is folded into channels."""
    return -(-K // stride)


def channels_last(x: np.ndarray) -> np.ndarray:
    """Return maps (N, C, H, W) as contiguous (N, H, W, C), without a copy where they are stored that way already."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def fold(x: np.ndarray, K: int, stride: int, padding: Pair, out: Pair) -> np.ndarray:
    """Return maps (N, C, H, W) as (N, h, w, C * s * s), with zero padding and without the pixels no window reaches.

    With stride 1, only move the channels last: no padding, and all pixels.
    """
    if stride == 1:
        return channels_last(x)
    (N, C, H, W), (h, w) = x.shape, (size + folded_size(K, stride) - 1 for size in out)
    padded, (top, left) = np.zeros((N, C, h * stride, w * stride), np.float32), padding
    padded[:, :, top : top + H, left : left + W] = x[:, :, : h * stride - top, : w * stride - left]
    split = padded.reshape(N, C, h, stride, w, stride).transpose(0, 2, 4, 1, 3, 5)  # (N, h, w, C, s, s)
    return split.reshape(N, h, w, C * stride**2)


def fold_gradient(gradient: np.ndarray, shape: Shape, stride: int, padding: Pair) -> np.ndarray:
    """Compute the adjoint of `fold`, from (N, h, w, C * s * s) to (N, C, H, W)."""
    if stride == 1:
        return gradient.transpose(0, 3, 1, 2)
    (N, C, H, W), (_, h, w, _), (top, left) = shape, gradient.shape, padding
    split = gradient.reshape(N, h, w, C, stride, stride).transpose(0, 3, 1, 4, 2, 5)  # (N, C, h, s, w, s)
    inner = split.reshape(N, C, h * stride, w * stride)[:, :, top : top + H, left : left + W]
    gx = np.zeros(shape, np.float32)  # pixels that no window reaches stay 0
    gx[:, :, : inner.shape[2], : inner.shape[3]] = inner
    return gx


def fold_filters(weight: np.ndarray, stride: int) -> np.ndarray:
    """Rearrange the taps of filters like the pixels of maps: (F, C, K, K) to (F, C * s * s, k, k)."""
    return fold(weight, weight.shape[2], stride, (0, 0), (1, 1)).transpose(0, 3, 1, 2)


def fold_filters_gradient(gradient: np.ndarray, shape: Shape, stride: int) -> np.ndarray:
    """Compute the adjoint of `fold_filters`, from (F, C * s * s, k, k) to (F, C, K, K)."""
    return np.ascontiguousarray(fold_gradient(gradient.transpose(0, 2, 3, 1), shape, stride, (0, 0)))
