"""Numba version of `nn.conv` for small kernels: Winograd convolution, with one matrix product per interpolation point.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016); see `cook_toom` for the mathematics
and `README.md` for a picture. The backward pass is the adjoint of the forward pass, step by step. Images are processed
in small chunks, so that their points are still in the cache when they are used. The points aren't saved for the
backward pass: transforming the maps again is faster than reading the points from memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.errors import ShapeError
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast import TileContext
from tinysegrank.nn.fast.filters import filter_gradient, filter_values
from tinysegrank.nn.fast.fold import (
    channels_last,
    fold,
    fold_filters,
    fold_filters_gradient,
    fold_gradient,
    fold_rows,
    folded_size,
)
from tinysegrank.nn.fast.geometry import Geometry, geometry
from tinysegrank.nn.fast.normalisation import norm_in_place
from tinysegrank.nn.fast.pooling import pool_rows
from tinysegrank.nn.fast.products import correlate, multiply
from tinysegrank.nn.fast.threads import jobs, run_stages
from tinysegrank.nn.fast.tiles import Tiling, add, cut_inputs, cut_outputs, join

UNBOUNDED = np.float32(-np.inf)  # lower bound of the outputs where no ReLU is fused
TOGETHER = 8  # number of pieces per call of `_run`, which is compiled for this number only
NOTHING = np.empty((0, 0, 0, 0), np.float32)


class Norm(NamedTuple):
    """Options of a local response normalisation; size 0 means that there is none."""

    size: int = 0
    alpha: float = 0.0
    beta: float = 0.0
    k: float = 0.0


class Piece(NamedTuple):
    """A convolution of stride 1 and what is fused with it, for compiled code: all arrays that it works on.

    Attributes:
        source: (N, C, H, W) that is folded into x first, where `stride` is above 1.
        stride, padding: of the convolution before folding.
        x: (N, h, w, c).
        inputs, outputs, chunk: of the convolution's `Geometry`.
        filters, bias: of the convolution.
        least: 0 for a ReLU, otherwise minus infinity.
        values, products: rooms for the points of a chunk's input and output.
        before: normalisation of the convolution's output.
        made: (chunk, OH, OW, F), room for what is pooled.
        size, stride_of_pool: of the windows of a max-pooling after that; (0, 0) means that there is none.
        after: normalisation of the pooling's output.
        y: (N, H, W, F), the piece's output.
    """

    source: np.ndarray
    stride: int
    padding: Pair
    x: np.ndarray
    inputs: Tiling
    outputs: Tiling
    chunk: int
    filters: np.ndarray
    bias: np.ndarray
    least: np.float32
    values: np.ndarray
    products: np.ndarray
    before: Norm
    made: np.ndarray
    size: Pair
    stride_of_pool: Pair
    after: Norm
    y: np.ndarray

    def stages(self) -> int:
        """Return the number of stages that `_run` takes for this piece."""
        return 1 + 4 * -(-len(self.x) // max(1, self.chunk))


def piece_of(
    how: Geometry, x: np.ndarray, filters: np.ndarray, bias: np.ndarray, y: np.ndarray, *, groups: int
) -> Piece:
    """Return a piece that is a convolution alone, from maps x (N, h, w, c) to y (N, OH, OW, F)."""
    values, products = how.room(groups, x.shape[3]), how.room(groups, len(bias))
    return Piece(
        NOTHING, 1, (0, 0), writable(x), how.inputs, how.outputs, how.chunk, filters, np.array(bias), UNBOUNDED,
        values, products, Norm(), NOTHING, (0, 0), (0, 0), Norm(), y,
    )  # fmt: skip


def writable(x: np.ndarray) -> np.ndarray:
    """Return x, or a copy if it is read-only, for which compiled code has another type."""
    return x if x.flags.writeable else x.copy()


def run_pieces(pieces: Sequence[Piece], *, alone: bool = False) -> None:
    """Run pieces in order, on all threads together or on this one alone."""
    nothing = pieces[0]._replace(source=NOTHING, stride=1, x=NOTHING, made=NOTHING, y=NOTHING)
    for start in range(0, len(pieces), TOGETHER):
        some = tuple(pieces[start : start + TOGETHER])
        some += (nothing,) * (TOGETHER - len(some))
        run_stages(partial(_run, some), sum(piece.stages() for piece in some), alone=alone)


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
    how = geometry_of(context)
    filters = filter_values(fold_filters(weight, stride), how.inputs.kind, groups, filters_first=False)
    y = np.empty((len(x), *out, len(weight)), np.float32)  # (N, OH, OW, F)
    run_pieces([piece_of(how, maps, filters, bias, y, groups=groups)])
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
    (N, h, w, c), F, how = maps.shape, len(weight), geometry_of(context)
    if gradient.shape != (N, F, *out):
        raise ShapeError(f"conv2d_backward: gradient has shape {gradient.shape}; give the output's, {(N, F, *out)}")
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
        arrays = (writable(gy), writable(maps), gproducts, values, filters, gfilters, gmaps)
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
    """Return the tiling of a convolution; where a stride was folded, the maps already include the padding."""
    maps, weight, _, out, stride, padding, _ = context
    channels, r = maps.shape[3] + len(weight), folded_size(weight.shape[2], stride)
    return geometry(len(maps), channels, out, r, padding if stride == 1 else (0, 0))


@compiled(error_model="numpy")
def _run(pieces: tuple[Piece, ...], queue: np.ndarray) -> None:
    """Run pieces in order, sharing the jobs of each stage with all threads that call this with the same queue."""
    stage = 0
    for piece in pieces:
        stage = _run_piece(piece, queue, stage)


@compiled(error_model="numpy")
def _run_piece(piece: Piece, queue: np.ndarray, stage: int) -> int:
    """Run one piece, one chunk of images after another; return the number of the stage after it."""
    x, y, pooled = piece.x, piece.y, piece.size[0] > 0
    if piece.stride > 1:
        for part in jobs(queue, stage, len(x) * x.shape[1], x.size):
            fold_rows(piece.source, piece.stride, piece.padding, part, x)
        stage += 1
    (_, G, P, C), F, (down, across) = piece.values.shape, piece.products.shape[3], piece.inputs.tiles
    for first in range(0, len(x), max(1, piece.chunk)):
        n = min(piece.chunk, len(x) - first)
        tiles = n * down * across
        maps, last = x[first : first + n], y[first : first + n]
        made = piece.made[:n] if pooled else last
        for part in jobs(queue, stage, n * down, tiles * G * P * C):
            cut_inputs(maps, piece.inputs, part, piece.values)
        for part in jobs(queue, stage + 1, G * P, tiles * G * P * C * F // 32):
            multiply(piece.values, piece.filters, piece.products, tiles, part)
        for part in jobs(queue, stage + 2, n * down, tiles * G * P * F):
            join(piece.products, piece.outputs, part, piece.bias, piece.least, made)
            if piece.before.size:
                _norm_tiles(made, piece.outputs, part, piece.before)
        stage += 3
        if pooled:
            for part in jobs(queue, stage, n * last.shape[1], made.size):
                pool_rows(made, piece.size, piece.stride_of_pool, part, last)
                if piece.after.size:
                    norm_in_place(
                        last.reshape(-1, last.shape[3]), piece.after, (part[0] * last.shape[2], part[1] * last.shape[2])
                    )
            stage += 1
    return stage


@compiled(error_model="numpy")
def _norm_tiles(y: np.ndarray, tiling: Tiling, rows: Pair, norm: Norm) -> None:
    """Normalise the pixels of some rows of tiles."""
    (_, H, W, C), (down, _) = y.shape, tiling.tiles
    pixels = y.reshape(-1, C)
    for row in range(rows[0], rows[1]):
        top = row % down * tiling.step
        first = (row // down * H + top) * W
        norm_in_place(pixels, norm, (first, first + min(tiling.step, H - top) * W))


@compiled(error_model="numpy")
def _run_backward(how: Geometry, arrays: tuple[np.ndarray, ...], queue: np.ndarray) -> None:
    """Fill the gradients with respect to the transformed filters, unless empty, and the maps, unless empty."""
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
