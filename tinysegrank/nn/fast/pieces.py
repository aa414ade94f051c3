"""One convolution after another in compiled code, each fused with the layers that follow it.

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
from tinysegrank.nn.fast.geometry import Geometry, geometry
from tinysegrank.nn.fast.normalisation import Norm, norm_rows
from tinysegrank.nn.fast.pooling import pool_rows
from tinysegrank.nn.fast.products import multiply
from tinysegrank.nn.fast.threads import jobs, run_stages
from tinysegrank.nn.fast.tiles import cut_inputs, join_outputs

UNBOUNDED = np.float32(-np.inf)  # lower bound of the outputs where no ReLU is fused
STAGES = 4  # per chunk: cut, multiply, join, pool
ARRAY = np.dtype([("address", "i8"), ("shape", "i8", 4)])
GEOMETRY = [(name, "i8", 2 if name in ("before", "tiles") else ()) for name in Geometry._fields]
NORM = [("size", "i8"), ("alpha", "f8"), ("beta", "f8"), ("k", "f8")]
PIECE = np.dtype(
    [
        ("x", ARRAY), ("inputs", GEOMETRY), ("outputs", GEOMETRY), ("filters", ARRAY), ("bias", ARRAY), ("least", "f4"),
        ("values", ARRAY), ("products", ARRAY), ("made", ARRAY), ("window", "i8", 2), ("step", "i8", 2), ("norm", NORM),
        ("norm_first", "?"), ("y", ARRAY),
    ], align=True,
)  # fmt: skip
"""A `Fused` convolution for compiled code, with its arrays, float32 and C-contiguous: tuples of arrays compile slowly.

It reads x (N, h, w, c), with the stride folded, and writes y (N, H, W, F). `values` and `products` are the points of a
chunk's input and output, and `made` (chunk, OH, OW, F) is what is pooled.
"""


class Fused(NamedTuple):
    """A convolution and the layers fused with it.

    Attributes:
        weight: (F, C/G, K, K).
        out: size of the convolution's output.
        least: 0 for a ReLU, otherwise minus infinity.
        pool: window size, stride and output size of a pooling; a size of (0, 0) means that there is none.
        norm, norm_first: a normalisation, and whether it comes before the pooling.
    """

    weight: np.ndarray
    bias: np.ndarray
    stride: int
    padding: Pair
    groups: int
    out: Pair
    least: np.float32 = UNBOUNDED
    pool: tuple[Pair, Pair, Pair] = ((0, 0),) * 3
    norm: Norm = Norm()
    norm_first: bool = False

    @property
    def made(self) -> tuple[int, int, int]:
        """Shape of the output for one image, (H, W, F)."""
        H, W = self.pool[2] if any(self.pool[0]) else self.out
        return H, W, len(self.weight)

    def geometry(self, images: int) -> Geometry:
        """Return the tiles for a number of images."""
        return geometry(images, self.weight.shape, self.groups, self.out, self.stride, self.padding)


class Program:
    """Consecutive convolutions for a number of images, and the memory that they need."""

    def __init__(self, convolutions: Sequence[Fused], images: int, filters: Sequence[np.ndarray]) -> None:
        self._pieces, self._stages, x = np.zeros(len(convolutions), PIECE), 0, np.empty(0, np.float32)
        self._fields = []  # whose arrays must stay alive, as compiled code has only their addresses
        for number, (each, transformed) in enumerate(zip(convolutions, filters, strict=True)):
            how, F = each.geometry(images), len(each.weight)
            values, products = how.room(each.groups, each.groups * transformed.shape[2]), how.room(each.groups, F)
            made = np.empty((how.chunk, *each.out, F) if any(each.pool[0]) else 0, np.float32)
            y = np.empty((images, *each.made) if each is not convolutions[-1] else 0, np.float32)
            fields: tuple[Any, ...] = (
                x, tuple(how), tuple(how.outputs), transformed, np.array(each.bias), each.least, values, products,
                made, *each.pool[:2], tuple(each.norm), each.norm_first, y,
            )  # fmt: skip
            self._pieces[number] = tuple(
                _described(field) if isinstance(field, np.ndarray) else field for field in fields
            )
            self._fields.append(fields)
            self._stages += STAGES * -(-images // how.chunk)
            x = y

    def run(self, x: np.ndarray, y: np.ndarray, *, alone: bool = False) -> None:
        """Fill y (N, H, W, F) from x (N, h, w, c), on all threads together or on this one alone."""
        self._pieces["x"][0], self._pieces["y"][-1] = _described(x), _described(y)
        run_stages(partial(_run, self._pieces), self._stages, alone=alone)


def _described(array: np.ndarray) -> Any:
    """Return the fields of a record ARRAY."""
    return array.ctypes.data, (*array.shape, 1, 1, 1)[:4]


@compiled(error_model="numpy")
def _run(pieces: np.ndarray, queue: np.ndarray) -> None:
    """Run pieces (PIECE) in order. All threads that call this with the same `queue` share the jobs of each stage."""
    stage = np.int64(0)  # not a literal, for which numba would compile `jobs` again
    for number in range(len(pieces)):
        piece: Any = pieces[number]
        x, y, made = _array(piece.x), _array(piece.y), _array(piece.made)
        values, filters, products = _array(piece.values), _array(piece.filters), _array(piece.products)
        bias = carray(_pointer(piece.bias.address), piece.bias.shape[0])
        inputs, outputs = _geometry(piece.inputs), _geometry(piece.outputs)
        window, step = (piece.window[0], piece.window[1]), (piece.step[0], piece.step[1])
        norm = Norm(piece.norm.size, piece.norm.alpha, piece.norm.beta, piece.norm.k)
        (_, G, P, C), F, down = values.shape, products.shape[3], inputs.tiles[0]
        for first in range(0, len(x), inputs.chunk):
            n = min(inputs.chunk, len(x) - first)
            tiles = n * down * inputs.tiles[1]
            maps, last = x[first : first + n], y[first : first + n]
            joined = made[:n] if window[0] else last
            for part in jobs(queue, stage, n * down, tiles * G * P * C):
                cut_inputs(maps, inputs, part, values)
            for part in jobs(queue, stage + 1, G * P, tiles * G * P * C * F // 32):
                multiply(values, filters, products, tiles, part)
            for part in jobs(queue, stage + 2, n * down, tiles * G * P * F):
                join_outputs(products, outputs, part, bias, piece.least, joined)
                if norm.size and piece.norm_first:
                    _norm_tiles(joined, outputs, part, norm)
            if window[0]:
                for part in jobs(queue, stage + 3, n * last.shape[1], joined.size):
                    pool_rows(joined, window, step, part, last)
                    if norm.size and not piece.norm_first:
                        _norm_maps(last, part, norm)
            stage += STAGES


@compiled(error_model="numpy")
def _norm_tiles(y: np.ndarray, outputs: Geometry, rows: Pair, norm: Norm) -> None:
    """Normalise the pixels of some rows of tiles."""
    H, down = y.shape[1], outputs.tiles[0]
    for row in range(rows[0], rows[1]):
        top = row // down * H + row % down * outputs.step
        _norm_maps(y, (top, min(top + outputs.step, (row // down + 1) * H)), norm)


@compiled(error_model="numpy")
def _norm_maps(y: np.ndarray, rows: Pair, norm: Norm) -> None:
    """Normalise some rows of maps y (N, H, W, C), numbered across all maps, in place."""
    _, _, W, C = y.shape
    norm_rows(y.reshape(-1, C), norm, (rows[0] * W, rows[1] * W), np.empty(C, np.float32))


@compiled(error_model="numpy")
def _array(field: Any) -> np.ndarray:
    """Return the array that a record ARRAY describes."""
    return carray(_pointer(field.address), (field.shape[0], field.shape[1], field.shape[2], field.shape[3]))


@intrinsic
def _pointer(_: Any, address: Any) -> Any:  # numba calls this with types, and uses the code generator it returns
    """Return the address of a float32 number as a pointer."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(address), code


@compiled(error_model="numpy")
def _geometry(field: Any) -> Geometry:
    """Return a record GEOMETRY as a tuple."""
    before, tiles = field.before, field.tiles
    return Geometry(field.kind, field.step, field.side, (before[0], before[1]), (tiles[0], tiles[1]), field.chunk)
