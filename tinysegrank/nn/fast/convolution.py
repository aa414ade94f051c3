"""Numba version of `nn.conv` for small kernels: Winograd convolution, with one matrix product per interpolation point.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016); see `cook_toom` for the mathematics.
The backward pass is the adjoint of the forward pass, step by step. Images are processed in small chunks, so that their
transformed tiles are still in the cache when they are used. The tiles aren't saved for the backward pass: transforming
the maps again is faster than reading the tiles from memory.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.nn.fast import TileContext
from tinysegrank.nn.fast.filters import filter_gradient, filter_values
from tinysegrank.nn.fast.fold import (
    channels_last,
    fold,
    fold_filters,
    fold_filters_gradient,
    fold_gradient,
    folded_size,
)
from tinysegrank.nn.fast.geometry import Geometry, chunks, geometry
from tinysegrank.nn.fast.program import Program
from tinysegrank.nn.fast.threads import run_stages
from tinysegrank.nn.windows import Pair

UNBOUNDED = np.float32(-np.inf)  # lower bound of the outputs where no ReLU is fused


def conv2d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, stride: int, padding: Pair, groups: int, out: Pair
) -> tuple[np.ndarray, TileContext]:
    """Numba version of `nn.conv2d`; errors are at most 1e-4 of the largest exact output.

    x       | (N, C, H, W)        | float32 | finite: a NaN or infinity spreads over its whole tile
    weight  | (F, C/groups, K, K) | float32 | K / stride, rounded up, is 3 or 5
    bias    | (F,)                | float32 |
    returns | (N, F, OH, OW)      | float32 | channels last in memory
    and the context for `conv2d_backward`.
    """
    maps = fold(x, weight.shape[2], stride, padding, out)  # (N, h, w, c), channels last
    context = TileContext(maps, weight, x.shape, out, stride, padding, groups)
    (N, _, _, c), F, how = maps.shape, len(weight), geometry_of(context)
    filters, stage = filter_values(fold_filters(weight, stride), how.taps, groups, filters_first=False)
    run_stages([stage])
    y = np.empty((N, *out, F), np.float32)  # (N, OH, OW, F)
    values, products, program = how.room(groups, c), how.room(groups, F), Program()
    for part in chunks(N, how.chunk):
        places = (part.stop - part.start) * how.tiles[0] * how.tiles[1]
        program.cut(maps[part], how, values)
        program.multiply(values, filters, products, places)
        program.join(products, how, np.ascontiguousarray(bias), UNBOUNDED, y[part])
    program.run()
    return y.transpose(0, 3, 1, 2), context


def conv2d_backward(
    gradient: np.ndarray, context: TileContext, *, needs: tuple[bool, bool, bool]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Numba version of `nn.conv2d_backward`; errors are at most 1e-4 of the largest entry of each exact gradient.

    gradient | (N, F, OH, OW) | float32 | of the loss with respect to the output
    returns  | (N, C, H, W), (F, C/groups, K, K), (F,) | float32 | None where not needed

    Raises:
        ShapeError: the gradient's shape is not the output's.
    """
    maps, weight, x_shape, out, stride, padding, groups = context
    (N, _, _, c), F, how = maps.shape, len(weight), geometry_of(context)
    if gradient.shape != (N, F, *out):
        raise ShapeError(f"conv2d_backward: gradient has shape {gradient.shape}; give the output's, {(N, F, *out)}")
    gy = channels_last(gradient.astype(np.float32, copy=False))  # (N, OH, OW, F)
    filters, stage = filter_values(fold_filters(weight, stride), how.taps, groups, filters_first=True)
    if needs[0]:
        run_stages([stage])
    values, gproducts, program = how.room(groups, c), how.room(groups, F), Program()
    gmaps = np.empty_like(maps)
    gfilters = np.empty((*gproducts.shape[:2], F // groups, c // groups), np.float32)
    for part in chunks(N, how.chunk):
        places = (part.stop - part.start) * how.tiles[0] * how.tiles[1]
        program.cut(gy[part], how, gproducts, outputs=True)
        if needs[1]:
            program.cut(maps[part], how, values)
            program.correlate(gproducts, values, gfilters, places, more=part.start > 0)
        if needs[0]:
            program.multiply(gproducts, filters, values, places)
            program.add(values, how, gmaps[part])
    if needs[0] or needs[1]:
        program.run()

    gx = gweight = None
    if needs[0]:
        gx = fold_gradient(gmaps, x_shape, stride, padding)  # (N, C, H, W)
    if needs[1]:
        gtaps, stage = filter_gradient(gfilters.reshape(-1, *gfilters.shape[2:]), how.taps, groups)
        run_stages([stage])
        gweight = fold_filters_gradient(gtaps, weight.shape, stride)
    gbias = gy.sum(axis=(0, 1, 2)) if needs[2] else None  # (F,)
    return gx, gweight, gbias


def geometry_of(context: TileContext) -> Geometry:
    """Return the tiling of a convolution; where a stride was folded, the maps already include the padding."""
    maps, weight, _, out, stride, padding, _ = context
    channels, r = maps.shape[3] + len(weight), folded_size(weight.shape[2], stride)
    return geometry(len(maps), channels, out, r, padding if stride == 1 else (0, 0))
