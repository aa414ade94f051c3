"""Numba version of `nn.evaluate`: run layers in order without keeping activations.

A convolution is fused with the ReLU, poolings and normalisations that follow it into one piece of work. The batch is
split into parts of a few images, and a thread takes a part through all consecutive pieces: threads need not wait for
each other, and the output of a piece is still in the cache when the next piece reads it. If the batch is too small to
give each thread a part, all threads share the jobs of each step.

A lesson: sharing the jobs of each step was expected to be as fast for large batches too, since the threads then share
the filters in the cache. But of 565 ms for 64 images on two threads, 180 ms were spent waiting. Parts of 4 images take
350 ms, as the filters of conv3 to conv5 are loaded from memory for every 36 tiles, and parts of 8 images 310 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import check_conv2d, check_max_pool2d, check_norm_size
from tinysegrank.nn.fast import Kept, Step, takes_tiles, uses_numba
from tinysegrank.nn.fast.convolution import UNBOUNDED
from tinysegrank.nn.fast.filters import filter_values
from tinysegrank.nn.fast.fold import fold_filters, folded_size
from tinysegrank.nn.fast.geometry import Geometry, chunks, geometry
from tinysegrank.nn.fast.program import Program
from tinysegrank.nn.fast.threads import Stage, run_stages
from tinysegrank.nn.windows import Pair, pair

PART = 8  # images per part; a batch of fewer than two parts is not split


class Piece(NamedTuple):
    """A convolution and the layers fused with it.

    Attributes:
        place: index of the convolution among the layers.
        relu: whether a ReLU follows the convolution.
        followers: the poolings and normalisations after that, in order.
        shape: (C, H, W) of the convolution's input.
        stride, padding, out: of the convolution; `out` is its output size.
        pools: (window size, stride, output size) of each pooling.
    """

    place: int
    convolution: Step
    relu: bool
    followers: list[Step]
    shape: tuple[int, int, int]
    stride: int
    padding: Pair
    out: Pair
    pools: list[tuple[Pair, Pair, Pair]]

    @property
    def made(self) -> tuple[int, int, int]:
        """Shape of the piece's output for one image, (H, W, F)."""
        H, W = self.pools[-1][2] if self.pools else self.out
        return H, W, len(self.convolution.parameters["weight"])

    def geometry(self, images: int) -> Geometry:
        """Return the tiling of the convolution for a number of images."""
        weight = self.convolution.parameters["weight"]
        channels = self.shape[0] * self.stride**2 + len(weight)
        padding = self.padding if self.stride == 1 else (0, 0)
        return geometry(images, channels, self.out, folded_size(weight.shape[2], self.stride), padding)


def evaluate(layers: Sequence[Step], x: Array, *, rng: np.random.Generator | None, kept: Kept) -> Array:
    """Numba version of `nn.evaluate`; errors are at most 1e-4 of the largest exact output.

    Args:
        layers: descriptions of the layers, in order.
        x: (N, ...), input of the first layer.
        rng: for dropout; None skips it.
        kept: cache, which this call reads and extends.
    """
    place = 0
    while place < len(layers):
        pieces, end = _pieces(layers, place, x, rng)
        if pieces:
            x = _run_pieces(pieces, x, kept)
        else:
            x, _ = layers[place].forward(x, rng=rng)
        place = max(end, place + 1)
    return x


def _pieces(layers: Sequence[Step], place: int, x: Array, rng: np.random.Generator | None) -> tuple[list[Piece], int]:
    """Return the consecutive pieces from layer `place` on, perhaps none, and the index of the layer after them."""
    pieces: list[Piece] = []
    if not uses_numba(x):
        return pieces, place
    shape = x.shape
    while place < len(layers):
        layer = layers[place]
        if pieces and rng is None and layer.kind == "dropout":
            place += 1
        elif layer.kind == "convolution" and uses_numba(*layer.parameters.values()) and _takes_tiles(layer):
            if pieces and layer.options["stride"] not in (1, (1, 1)):  # a program can fold its input only
                break
            piece, place = _piece(layers, place, shape)
            pieces.append(piece)
            shape = (len(x), piece.made[2], *piece.made[:2])
        else:
            break
    return pieces, place


def _piece(layers: Sequence[Step], place: int, shape: tuple[int, ...]) -> tuple[Piece, int]:
    """Return the piece that starts with the convolution at index `place`, and the index after it; shape is x's."""
    convolution = layers[place]
    weight, bias = convolution.parameters["weight"], convolution.parameters["bias"]
    like_x = np.empty((0, *shape[1:]), np.float32)
    stride, padding, out = check_conv2d(like_x, weight, bias, **convolution.options)
    end = place + 1
    relu = end < len(layers) and layers[end].kind == "relu"
    end += relu
    followers, pools, size = [], [], out
    while end < len(layers) and layers[end].kind in ("pooling", "normalisation"):
        layer = layers[end]
        followers.append(layer)
        if layer.kind == "pooling":
            pools.append(check_max_pool2d((shape[0], len(weight), *size), **layer.options))
            size = pools[-1][2]
        else:
            check_norm_size(layer.options["size"])
        end += 1
    _, C, H, W = shape
    return Piece(place, convolution, relu, followers, (C, H, W), stride[0], padding, out, pools), end


def _takes_tiles(convolution: Step) -> bool:
    stride = pair(convolution.options["stride"], name="stride", least=1)
    return takes_tiles(convolution.parameters["weight"], stride)


def _run_pieces(pieces: Sequence[Piece], x: np.ndarray, kept: Kept) -> np.ndarray:
    """Run consecutive pieces on x; return (N, F, OH, OW), with channels last in memory."""
    N, count, place = len(x), max(1, len(x) // PART), pieces[0].place
    parts = [slice(N * part // count, N * (part + 1) // count) for part in range(count)]
    _make_filters(pieces, {part.stop - part.start for part in parts}, kept)
    x = np.ascontiguousarray(x if pieces[0].stride > 1 else x.transpose(0, 2, 3, 1))  # (N, H, W, C) where nothing folds
    y = np.empty((N, *pieces[-1].made), np.float32)  # (N, OH, OW, F)

    def run_parts(start: int, stop: int) -> None:
        for part in parts[start:stop]:
            _program(pieces, x[part], kept, y[part]).run(threads=1)

    if count > 1:
        run_stages([Stage(run_parts, count, count)])
    else:
        shape, program = kept.programs.get(place, ((), None))
        if program is None or shape != x.shape:
            program = _program(pieces, x, kept, y)
            kept.programs[place] = x.shape, program
        program.run(x=x, y=y)
    return y.transpose(0, 3, 1, 2)


def _make_filters(pieces: Sequence[Piece], images: Iterable[int], kept: Kept) -> None:
    """Add to the cache the transformed filters that it lacks, for parts with these numbers of images."""
    made: dict[tuple[int, int], np.ndarray] = {}
    stages = []
    for piece, n in product(pieces, images):
        taps = piece.geometry(n).taps
        if (key := (piece.place, len(taps))) not in kept.filters and key not in made:
            folded = fold_filters(piece.convolution.parameters["weight"], piece.stride)
            made[key], stage = filter_values(folded, taps, piece.convolution.options["groups"], filters_first=False)
            stages.append(stage)
    if stages:
        run_stages(stages)
    kept.filters |= made


def _program(pieces: Sequence[Piece], x: np.ndarray, kept: Kept, y: np.ndarray) -> Program:
    """Return the program that runs the pieces on x and writes the output to y.

    x | (n, C, H, W) if the first convolution has a stride above 1, else (n, H, W, C)
    y | (n, OH, OW, F)
    """
    program, n, maps, first = Program(x, y), len(x), x, pieces[0]
    if first.stride > 1:
        k = folded_size(first.convolution.parameters["weight"].shape[2], first.stride)
        maps = np.empty((n, first.out[0] + k - 1, first.out[1] + k - 1, x.shape[1] * first.stride**2), np.float32)
        program.fold(x, first.stride, first.padding, maps)
    for piece in pieces:
        made = y if piece is pieces[-1] else np.empty((n, *piece.made), np.float32)
        _add_piece(program, piece, maps, kept, made)
        maps = made
    return program


def _add_piece(program: Program, piece: Piece, maps: np.ndarray, kept: Kept, y: np.ndarray) -> None:
    """Append the steps of one piece, from maps (n, h, w, c) to y (n, OH, OW, F), one chunk of images after another."""
    how, groups = piece.geometry(len(maps)), piece.convolution.options["groups"]
    bias, F = np.ascontiguousarray(piece.convolution.parameters["bias"]), y.shape[3]
    filters = kept.filters[piece.place, len(how.taps)]
    least = np.float32(0) if piece.relu else UNBOUNDED
    values, products = how.room(groups, maps.shape[3]), how.room(groups, F)
    sizes = [piece.out, *(out for _, _, out in piece.pools)][:-1]
    rooms = [np.empty((how.chunk, *size, F), np.float32) for size in sizes]  # buffers for all outputs but the last
    for part in chunks(len(maps), how.chunk):
        n = part.stop - part.start
        steps = [*(room[:n] for room in rooms), y[part]]
        now = steps.pop(0)
        program.cut(maps[part], how, values)
        program.multiply(values, filters, products, n * how.tiles[0] * how.tiles[1])
        program.join(products, how, bias, least, now)
        pools = iter(piece.pools)
        for layer in piece.followers:
            if layer.kind == "pooling":
                size, stride, _ = next(pools)
                program.pool(now, size, stride, steps[0])
                now = steps.pop(0)
            else:
                program.norm(now, **layer.options)
