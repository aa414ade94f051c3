"""Sliding windows as strided slices, for convolution (im2col) and pooling.

Tap (i, j) of all windows together is one strided slice of the map, so k x k windows are k*k slices. Unlike gathers,
slices run on every backend without index arrays, and their adjoint is k*k additions in a fixed order, which is
deterministic on a GPU too.
"""

from __future__ import annotations

from collections.abc import Iterator

import array_api_extra as xpx
from array_api_compat import array_namespace, device

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.cuda import uses_cuda
from tinysegrank.nn.cuda import windows as cuda


def tap_slices(kernel: Pair, stride: Pair, out: Pair) -> Iterator[tuple[slice, slice]]:
    """Yield, for each tap (i, j) of a window in row order, the slices of rows and columns with that tap of all windows.

    kernel, stride and out are (height, width): size of a window, step from one window to the next, number of windows.
    """
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i, i + stride[0] * (out[0] - 1) + 1, stride[0])
            columns = slice(j, j + stride[1] * (out[1] - 1) + 1, stride[1])
            yield rows, columns


def extract_windows(x: Array, kernel: Pair, stride: Pair, out: Pair, padding: Pair = (0, 0)) -> Array:
    """Stack the taps of all windows of maps that are padded with zeros (im2col).

    The other arguments are (height, width): size of a window, step from one window to the next, number of windows,
    and zeros added on each side.

    x       | (C, N, H, W)      | any  | maps; channels first, as the rows of a matrix product
    returns | (C, T, N, OH, OW) | as x | T = kernel height * kernel width taps, in row order
    """
    if uses_cuda(x):
        return cuda.extract_windows(x, kernel, stride, out, padding)
    xp = array_namespace(x)
    if any(padding):  # padding by 0 would copy
        x = xpx.pad(x, [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2])  # (C, N, H + 2p, W + 2p)
    return xp.stack([x[:, :, rows, columns] for rows, columns in tap_slices(kernel, stride, out)], axis=1)


def scatter_windows(
    windows: Array, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair = (0, 0)
) -> Array:
    """Sum at each pixel all taps that `extract_windows` would take from it: the adjoint of that function (col2im).

    windows | (C, T, N, OH, OW) | any        |
    returns | (C, N, H, W)      | as windows | of the given shape; pixels outside all windows are 0
    """
    if uses_cuda(windows):
        return cuda.scatter_windows(windows, shape, kernel, stride, padding)
    xp = array_namespace(windows)
    C, N, H, W = shape
    out = (windows.shape[-2], windows.shape[-1])
    padded = (C, N, H + 2 * padding[0], W + 2 * padding[1])
    x = xp.zeros(padded, dtype=windows.dtype, device=device(windows))
    for tap, (rows, columns) in enumerate(tap_slices(kernel, stride, out)):
        x = xpx.at(x)[:, :, rows, columns].add(windows[:, tap, ...])
    return x[..., padding[0] : padding[0] + H, padding[1] : padding[1] + W]  # (C, N, H, W)
