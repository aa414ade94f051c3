"""Space-to-depth, which turns a convolution of stride s into one of stride 1 with s * s times the channels.

Pixel (s * h + i, s * w + j) of channel c becomes pixel (h, w) of channel (c, i, j). The taps of a filter are rearranged
in the same way, so that a K x K filter becomes k x k, with k = K / s rounded up.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.threads import share

Shape = tuple[int, int, int, int]
SQUARE = 32  # side of the blocks that `_turn` transposes


def folded_size(K: int, stride: int) -> int:
    """Return the kernel size after the stride is folded into channels."""
    return -(-K // stride)


def channels_last(x: np.ndarray) -> np.ndarray:
    """Return float32 maps (N, C, H, W) as contiguous (N, H, W, C), without a copy if they are stored that way."""
    maps = x.transpose(0, 2, 3, 1)
    if maps.flags.c_contiguous or not x.flags.c_contiguous:
        return np.ascontiguousarray(maps)
    N, C, H, W = x.shape
    turned = np.empty((N, H, W, C), np.float32)
    flat = x.reshape(N, C, H * W), turned.reshape(N, H * W, C)
    share(lambda *images: _turn(*flat, images), N, x.size)
    return turned


def fold(x: np.ndarray, K: int, stride: int, padding: Pair, out: Pair) -> np.ndarray:
    """Fold maps (N, C, H, W), padded with zeros, to (N, h, w, C * s * s), without the pixels that no window reaches.

    K is the size of the windows, `out` their number (OH, OW); h = OH + k - 1, w likewise. With stride 1, only move the
    channels last, without padding.
    """
    if stride == 1:
        return channels_last(x)
    k = folded_size(K, stride)
    folded = np.empty((len(x), out[0] + k - 1, out[1] + k - 1, x.shape[1] * stride**2), np.float32)
    share(lambda *rows: fold_rows(x, stride, padding, rows, folded), len(x) * folded.shape[1], folded.size)
    return folded


def fold_gradient(gradient: np.ndarray, shape: Shape, stride: int, padding: Pair) -> np.ndarray:
    """Unfold a gradient with respect to folded maps into the gradient with respect to the maps, of the given shape."""
    if stride == 1:
        return gradient.transpose(0, 3, 1, 2)
    gx = np.empty(shape, np.float32)
    share(lambda *images: _unfold(gradient, stride, padding, images, gx), shape[0], gradient.size)
    return gx


def fold_filters(weight: np.ndarray, stride: int) -> np.ndarray:
    """Fold filters (F, C, K, K), padded with zeros, to (F, C * s * s, k, k)."""
    F, C, K, _ = weight.shape
    k = folded_size(K, stride)
    padded = np.zeros((F, C, k * stride, k * stride), np.float32)
    padded[:, :, :K, :K] = weight
    split = padded.reshape(F, C, k, stride, k, stride).transpose(0, 1, 3, 5, 2, 4)  # (F, C, s, s, k, k)
    return split.reshape(F, C * stride**2, k, k)


def fold_filters_gradient(gradient: np.ndarray, shape: Shape, stride: int) -> np.ndarray:
    """Unfold a gradient with respect to folded filters into one with respect to the filters, of the given shape."""
    F, C, K, _ = shape
    k = folded_size(K, stride)
    split = gradient.reshape(F, C, stride, stride, k, k).transpose(0, 1, 4, 2, 5, 3)  # (F, C, k, s, k, s)
    return np.ascontiguousarray(split.reshape(F, C, k * stride, k * stride)[:, :, :K, :K])


@compiled(error_model="numpy")
def _turn(x: np.ndarray, turned: np.ndarray, images: Pair) -> None:
    """Write images[0]..images[1]-1 of x (N, C, L), transposed, to `turned` (N, L, C), in blocks for the L1 cache."""
    _, C, L = x.shape
    for image in range(images[0], images[1]):
        for first in range(0, C, SQUARE):
            for start in range(0, L, SQUARE):
                for i in range(start, min(L, start + SQUARE)):
                    for c in range(first, min(C, first + SQUARE)):
                        turned[image, i, c] = x[image, c, i]


@compiled(error_model="numpy")
def fold_rows(x: np.ndarray, stride: int, before: Pair, rows: Pair, folded: np.ndarray) -> None:
    """Fold x (N, C, H, W) into rows[0]..rows[1]-1 of `folded` (N, h, w, C * s * s), numbered across all maps.

    A map has zeros around it: `before` is the number of rows above it and of columns to its left.
    """
    (_, C, H, W), (_, height, width, _) = x.shape, folded.shape
    for number in range(rows[0], rows[1]):
        image, h = number // height, number % height
        for c in range(C):
            for i in range(stride):
                row, first = h * stride + i - before[0], (c * stride + i) * stride
                for w in range(width):
                    for j in range(stride):
                        column = w * stride + j - before[1]
                        inside = 0 <= row < H and 0 <= column < W
                        folded[image, h, w, first + j] = x[image, c, row, column] if inside else np.float32(0)


@compiled(error_model="numpy")
def _unfold(folded: np.ndarray, stride: int, before: Pair, images: Pair, x: np.ndarray) -> None:
    """Fill images[0]..images[1]-1 of x (N, C, H, W) from folded maps; set pixels that folding left out to 0."""
    (_, C, H, W), (_, height, width, _) = x.shape, folded.shape
    for image in range(images[0], images[1]):
        for c in range(C):
            for row in range(H):
                h, i = (row + before[0]) // stride, (row + before[0]) % stride
                for column in range(W):
                    w, j = (column + before[1]) // stride, (column + before[1]) % stride
                    inside = h < height and w < width
                    value = folded[image, h, w, (c * stride + i) * stride + j] if inside else np.float32(0)
                    x[image, c, row, column] = value
