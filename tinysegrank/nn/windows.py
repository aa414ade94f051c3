"""Sliding windows as strided slices, for convolution (im2col) and pooling.

Tap (i, j) of all windows together is one strided slice of the map, so k x k windows are k*k slices. Unlike gathers,
slices run on every backend without index arrays, and their adjoint is k*k additions in a fixed order, which is
deterministic on a GPU too.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import index
from typing import TypeAlias

import array_api_extra as xpx
from array_api_compat import array_namespace, device, is_cupy_array

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError

Pair: TypeAlias = tuple[int, int]


def pair(value: int | Pair, *, name: str, least: int) -> Pair:
    """Return (height, width) from an option given as one integer or as such a pair.

    Raises:
        ShapeError: the value is not one or two integers, or is below `least`.
    """
    try:
        height, width = (index(v) for v in (value if isinstance(value, tuple | list) else (value, value)))
    except (TypeError, ValueError):  # not integers, or not two
        height = width = least - 1
    if min(height, width) < least:
        raise ShapeError(f"{name}={value!r}: give an integer of at least {least}, or two (height, width)")
    return height, width


def tap_slices(kernel: Pair, stride: Pair, out: Pair) -> Iterator[tuple[slice, slice]]:
    """Yield, for each tap (i, j) in row order, the slices of rows and of columns that pick that tap of every window.

    kernel, stride, out: (height, width) of the window, of its step, and of the output map.
    """
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i, i + stride[0] * (out[0] - 1) + 1, stride[0])
            columns = slice(j, j + stride[1] * (out[1] - 1) + 1, stride[1])
            yield rows, columns


def extract_windows(x: Array, kernel: Pair, stride: Pair, out: Pair) -> Array:
    """Stack the taps of all windows of a padded map (im2col).

    x       | (C, N, H, W)      | any  | maps, already padded; channels first, as the rows of a matrix product
    returns | (C, T, N, OH, OW) | as x | T = kernel height * kernel width taps, in row order
    """
    xp = array_namespace(x)
    if is_cupy_array(x):  # one kernel instead of one for each tap
        from cupy.lib.stride_tricks import as_strided

        C, N = x.shape[:2]
        of_channel, of_image, of_row, of_column = x.strides
        strides = (of_channel, of_row, of_column, of_image, stride[0] * of_row, stride[1] * of_column)
        taps = as_strided(x, (C, *kernel, N, *out), strides)  # (C, KH, KW, N, OH, OW)
        return xp.reshape(taps, (C, kernel[0] * kernel[1], N, *out))
    return xp.stack([x[:, :, rows, columns] for rows, columns in tap_slices(kernel, stride, out)], axis=1)


def scatter_windows(windows: Array, shape: tuple[int, ...], kernel: Pair, stride: Pair) -> Array:
    """Add every tap back to the pixel it was taken from: the adjoint of `extract_windows` (col2im).

    windows | (C, T, N, OH, OW) | any        |
    returns | (C, N, H, W)      | as windows | of the given shape; pixels outside every window are 0
    """
    xp = array_namespace(windows)
    out = (windows.shape[-2], windows.shape[-1])
    x = xp.zeros(shape, dtype=windows.dtype, device=device(windows))
    for tap, (rows, columns) in enumerate(tap_slices(kernel, stride, out)):
        x = xpx.at(x)[:, :, rows, columns].add(windows[:, tap, ...])
    return x
