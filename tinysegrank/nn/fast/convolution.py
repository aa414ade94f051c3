"""Numba version of `nn.conv` for small kernels: Winograd convolution, with one matrix product per interpolation point.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016); `cook_toom` has the mathematics and
`README.md` a picture. The forward pass is in `pieces`; the backward pass has the adjoint of each of its steps, in
reverse order. The maps' values at the interpolation points aren't saved for it: computing them again is faster than
reading them from memory.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast import TileContext
from tinysegrank.nn.fast.filters import filter_gradient, filter_values
from tinysegrank.nn.fast.fold import (
    channels_last,
    fold,
    fold_filters,
    fold_filters_gradient,
    fold_gradient,
)
from tinysegrank.nn.fast.geometry import Geometry, geometry
from tinysegrank.nn.fast.pieces import piece_of, run_pieces
from tinysegrank.nn.fast.products import correlate, multiply
from tinysegrank.nn.fast.threads import jobs, run_stages
from tinysegrank.nn.fast.tiles import add, cut_inputs, cut_outputs


def conv2d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, stride: int, padding: Pair, groups: int, out: Pair
) -> tuple[np.ndarray, TileContext]:
    """Numba version of `nn.conv2d`, whose arguments have been checked; errors are at most 1e-4 of the largest output.

    x       | (N, C, H, W)        | float32 | finite: a NaN or infinity spreads over its whole tile
    weight  | (F, C/groups, K, K) | float32 | K / stride, rounded up, is 3 or 5
    bias    | (F,)                | float32 |
    returns | (N, F, OH, OW)      | float32 | channels last in memory
    and the context for `conv2d_backward`.
    """
    maps = fold(x, weight.shape[2], stride, padding, out)  # (N, h, w, c), channels last
    context = TileContext(maps, weight, x.shape, out, stride, padding, groups)
    how = geometry_of(context)
    filters = filter_values(fold_filters(weight, stride), how.inputs.kind, groups, filters_first=False)
    y = np.empty((len(x), *out, len(weight)), np.float32)  # (N, OH, OW, F)
    run_pieces([piece_of(how, maps, filters, bias, y, groups=groups)])
    return y.transpose(0, 3, 1, 2), context


def conv2d_backward(
    gradient: np.ndarray, context: TileContext, *, needs: tuple[bool, bool, bool]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Numba version of `nn.conv2d_backward`; errors are at most 1e-4 of the largest entry of each gradient.

    gradient | (N, F, OH, OW) | float32 | of the loss with respect to the output
    returns  | (N, C, H, W), (F, C/groups, K, K), (F,) | float32 | None where not needed
    """
    maps, weight, x_shape, _, stride, padding, groups = context
    (N, h, w, c), F, how = maps.shape, len(weight), geometry_of(context)
    gy = channels_last(gradient.astype(np.float32, copy=False))  # (N, OH, OW, F)
    values, gproducts = how.room(groups, c), how.room(groups, F)
    _, G, P, C = values.shape
    gmaps = np.empty((N, h, w, c) if needs[0] else (0, h, w, c), np.float32)
    gfilters = np.empty((G * P, F // groups, C) if needs[1] else (0, 0, C), np.float32)
    filters = np.empty((0, 0, 0, 0), np.float32)
    if needs[0]:
        filters = filter_values(fold_filters(weight, stride), how.inputs.kind, groups, filters_first=True)
    if needs[0] or needs[1]:
        stages = 5 * -(-N // how.chunk)
        gy, maps = (array if array.flags.writeable else array.copy() for array in (gy, maps))  # one type to compile
        arrays = (gy, maps, gproducts, values, filters, gfilters, gmaps)
        run_stages(partial(_run_backward, how, arrays), stages)

    gx = gweight = None
    if needs[0]:
        gx = fold_gradient(gmaps, x_shape, stride, padding)  # (N, C, H, W)
    if needs[1]:
        gtaps = filter_gradient(gfilters, how.inputs.kind, groups, c // groups)
        gweight = fold_filters_gradient(gtaps, weight.shape, stride)
    gbias = gy.sum(axis=(0, 1, 2)) if needs[2] else None  # (F,)
    return gx, gweight, gbias


def geometry_of(context: TileContext) -> Geometry:
    """Return the tiles and chunks of a convolution."""
    maps, weight, _, out, stride, padding, _ = context
    return geometry(len(maps), maps.shape[3] + len(weight), out, weight.shape[2], stride, padding)


@compiled(error_model="numpy")
def _run_backward(how: Geometry, arrays: tuple[np.ndarray, ...], queue: np.ndarray) -> None:
    """Fill the last two of `arrays`, gradients of the transformed filters and of the maps; skip one that is empty.

    All threads that call this with the same `queue` share the jobs of each stage.
    """
    gy, maps, gproducts, values, filters, gfilters, gmaps = arrays
    (_, G, P, C), F, (down, across) = values.shape, gproducts.shape[3], how.inputs.tiles
    for first in range(0, len(gy), how.chunk):
        stage = 5 * (first // how.chunk)
        n = min(how.chunk, len(gy) - first)
        tiles = n * down * across
        work = tiles * G * P * C * F // 32
        for part in jobs(queue, stage, n * down, tiles * G * P * F):
            cut_outputs(gy[first : first + n], how.outputs, part, gproducts)
        if len(gfilters):
            for part in jobs(queue, stage + 1, n * down, tiles * G * P * C):
                cut_inputs(maps[first : first + n], how.inputs, part, values)
            for part in jobs(queue, stage + 2, G * P, work):
                correlate(gproducts, values, gfilters, tiles, part, first > 0)
        if len(gmaps):
            for part in jobs(queue, stage + 3, G * P, work):
                multiply(gproducts, filters, values, tiles, part)
            for part in jobs(queue, stage + 4, n, tiles * G * P * C):
                add(values, how.inputs, part, gmaps[first : first + n])
