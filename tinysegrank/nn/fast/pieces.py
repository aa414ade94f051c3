"""Run one convolution after another in compiled code, each fused with the layers that follow it.

Images are processed in small chunks, so that their Winograd points are still in the cache when they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import carray, types

from tinysegrank.compiled import compiled, intrinsic
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.fold import fold_rows
from tinysegrank.nn.fast.geometry import Geometry
from tinysegrank.nn.fast.normalisation import norm_in_place
from tinysegrank.nn.fast.pooling import pool_rows
from tinysegrank.nn.fast.products import multiply
from tinysegrank.nn.fast.threads import jobs, run_stages
from tinysegrank.nn.fast.tiles import Tiling, cut_inputs, join

UNBOUNDED = np.float32(-np.inf)  # lower bound of the outputs where no ReLU is fused
NOTHING = np.empty((0, 0, 0, 0), np.float32)
ARRAY = np.dtype([("address", "i8"), ("shape", "i8", 4)])
TILING = np.dtype([("kind", "i8"), ("side", "i8"), ("step", "i8"), ("before", "i8", 2), ("tiles", "i8", 2)])
NORM = np.dtype([("size", "i8"), ("alpha", "f8"), ("beta", "f8"), ("k", "f8")])
PIECE = np.dtype(
    [
        ("source", ARRAY), ("stride", "i8"), ("padding", "i8", 2), ("x", ARRAY), ("inputs", TILING),
        ("outputs", TILING), ("chunk", "i8"), ("filters", ARRAY), ("bias", ARRAY), ("least", "f4"), ("values", ARRAY),
        ("products", ARRAY), ("before", NORM), ("made", ARRAY), ("size", "i8", 2), ("stride_of_pool", "i8", 2),
        ("after", NORM), ("y", ARRAY),
    ], align=True,
)  # fmt: skip
"""Fields of `Piece`, as compiled code reads them: tuples of arrays take seconds to compile."""


class Norm(NamedTuple):
    """Options of a local response normalisation; size 0 means that there is none."""

    size: int = 0
    alpha: float = 0.0
    beta: float = 0.0
    k: float = 0.0


class Piece(NamedTuple):
    """A convolution and the layers fused with it: their options and all arrays that they work on, for compiled code.

    The arrays are float32 and C-contiguous.

    Attributes:
        source: input (N, C, H, W), which is folded into x if `stride` is above 1; otherwise empty.
        stride, padding: of the convolution before folding.
        x: folded input, or the input itself if the stride is 1, (N, h, w, c).
        inputs, outputs, chunk: of the convolution's `Geometry`.
        filters: as `filter_values` returns them.
        bias: (F,).
        least: lower bound of the outputs, 0 for a ReLU, otherwise minus infinity.
        values, products: buffers for the points of a chunk's input and output.
        before: normalisation after the convolution and the ReLU.
        made: buffer for what is pooled next, (chunk, OH, OW, F); empty where no pooling follows.
        size, stride_of_pool: window size and stride of the max pooling; (0, 0) means that there is none.
        after: normalisation after the pooling.
        y: output, pooled if there is a pooling, (N, height, width, F).
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
        """Return the largest number of stages that `_run` can need for this piece."""
        return 1 + 4 * -(-len(self.x) // max(1, self.chunk))

    def record(self) -> tuple[Any, ...]:
        """Return the fields of a record PIECE, with addresses of arrays, which must stay alive while it is used."""
        return tuple(
            (field.ctypes.data, (*field.shape, 1, 1, 1)[:4]) if isinstance(field, np.ndarray) else field
            for field in self
        )


def piece_of(
    how: Geometry, x: np.ndarray, filters: np.ndarray, bias: np.ndarray, y: np.ndarray, *, groups: int
) -> Piece:
    """Return the piece of a convolution alone, which reads x (N, h, w, c) and writes y (N, OH, OW, F)."""
    values, products = how.room(groups, x.shape[3]), how.room(groups, len(bias))
    return Piece(
        NOTHING, 1, (0, 0), x, how.inputs, how.outputs, how.chunk, filters, np.array(bias), UNBOUNDED,
        values, products, Norm(), NOTHING, (0, 0), (0, 0), Norm(), y,
    )  # fmt: skip


def run_pieces(pieces: Sequence[Piece], *, alone: bool = False) -> None:
    """Run pieces in order, on all threads together or, with `alone`, on this one."""
    records = np.array([piece.record() for piece in pieces], PIECE)
    run_stages(partial(_run, records), sum(piece.stages() for piece in pieces), alone=alone)


@compiled(error_model="numpy")
def _run(pieces: np.ndarray, queue: np.ndarray) -> None:
    """Run pieces (PIECE) in order. All threads that call this with the same `queue` share the jobs of each stage."""
    stage = np.int64(0)  # not a literal, for which numba would compile `jobs` again
    for number in range(len(pieces)):
        piece: Any = pieces[number]
        x, y, made = _array(piece.x), _array(piece.y), _array(piece.made)
        values, filters, products = _array(piece.values), _array(piece.filters), _array(piece.products)
        inputs, outputs, pooled = _tiling(piece.inputs), _tiling(piece.outputs), piece.size[0] > 0
        bias = carray(_pointer(piece.bias.address), piece.bias.shape[0])
        if piece.stride > 1:
            source, padding = _array(piece.source), (piece.padding[0], piece.padding[1])
            for part in jobs(queue, stage, len(x) * x.shape[1], x.size):
                fold_rows(source, piece.stride, padding, part, x)
            stage += 1
        (_, G, P, C), F, (down, across) = values.shape, products.shape[3], inputs.tiles
        for first in range(0, len(x), max(1, piece.chunk)):
            n = min(piece.chunk, len(x) - first)
            tiles = n * down * across
            maps, last = x[first : first + n], y[first : first + n]
            joined = made[:n] if pooled else last
            for part in jobs(queue, stage, n * down, tiles * G * P * C):
                cut_inputs(maps, inputs, part, values)
            for part in jobs(queue, stage + 1, G * P, tiles * G * P * C * F // 32):
                multiply(values, filters, products, tiles, part)
            for part in jobs(queue, stage + 2, n * down, tiles * G * P * F):
                join(products, outputs, part, bias, piece.least, joined)
                if piece.before.size:
                    _norm_tiles(joined, outputs, part, _norm(piece.before))
            stage += 3
            if pooled:
                size, stride, row = piece.size, piece.stride_of_pool, last.shape[2]
                for part in jobs(queue, stage, n * last.shape[1], joined.size):
                    pool_rows(joined, (size[0], size[1]), (stride[0], stride[1]), part, last)
                    if piece.after.size:
                        rows = part[0] * row, part[1] * row
                        norm_in_place(last.reshape(-1, last.shape[3]), _norm(piece.after), rows)
                stage += 1


@compiled(error_model="numpy")
def _array(field: Any) -> np.ndarray:
    """Return the float32 array (of four axes) at the address in a record ARRAY, without a copy."""
    return carray(_pointer(field.address), (field.shape[0], field.shape[1], field.shape[2], field.shape[3]))


@intrinsic
def _pointer(_: Any, address: Any) -> Any:  # numba calls this with types, and uses the code generator it returns
    """Return an integer, the address of a float32 number, as a pointer."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(address), code


@compiled(error_model="numpy")
def _tiling(field: Any) -> Tiling:
    """Return a record TILING as a `Tiling`."""
    before, tiles = field.before, field.tiles
    return Tiling(field.kind, field.side, field.step, (before[0], before[1]), (tiles[0], tiles[1]))


@compiled(error_model="numpy")
def _norm(field: Any) -> Norm:
    """Return a record NORM as a `Norm`."""
    return Norm(field.size, field.alpha, field.beta, field.k)


@compiled(error_model="numpy")
def _norm_tiles(y: np.ndarray, tiling: Tiling, rows: Pair, norm: Norm) -> None:
    """Normalise in place the pixels of y (N, H, W, C) in rows[0]..rows[1]-1 of its rows of tiles."""
    (_, H, W, C), (down, _) = y.shape, tiling.tiles
    pixels = y.reshape(-1, C)
    for row in range(rows[0], rows[1]):
        top = row % down * tiling.step
        first = (row // down * H + top) * W
        norm_in_place(pixels, norm, (first, first + min(tiling.step, H - top) * W))
