"""Layers one after the other with nothing kept, the twin of `nn.evaluate`.

A convolution with the ReLU, poolings and normalisations after it is one piece of work. Pieces in a row are done for a
few images at a time, each few by one thread from the first piece to the last: threads need not wait for each other,
and what one piece makes is still in the cache for the next. Of few images, all threads work on the same ones.

A lesson: to divide each step of a few images among the threads was expected to be as fast, as they then share the
filters in the cache. Of 565 ms for 64 images on two threads, 180 were waiting; in parts of 4 images it is 350, where
the filters of conv3 to conv5 are fetched for 36 tiles at a time, and of 8 images 310.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import check_conv2d, check_max_pool2d, check_norm_size
from tinysegrank.nn.fast import Kept, Step, takes_tiles, takes_twin
from tinysegrank.nn.fast.convolution import UNBOUNDED
from tinysegrank.nn.fast.filters import filter_values
from tinysegrank.nn.fast.fold import fold_filters, folded_size
from tinysegrank.nn.fast.geometry import Geometry, chunks, geometry
from tinysegrank.nn.fast.program import Program
from tinysegrank.nn.fast.threads import Stage, run_stages
from tinysegrank.nn.windows import Pair, pair

PART = 8  # images that one thread takes at a time; of fewer than twice as many, all threads work on the same


class Piece(NamedTuple):
    """A convolution and what follows it.

    Attributes:
        place: of the convolution among the layers.
        stride, padding, out: of the convolution.
        shape: of its input, (C, H, W).
        followers: poolings and normalisations.
        pools: size and stride of each pooling, and the size of what it makes.
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
        """The shape of what the piece makes of an image, (H, W, F)."""
        H, W = self.pools[-1][2] if self.pools else self.out
        return H, W, len(self.convolution.parameters["weight"])

    def geometry(self, images: int) -> Geometry:
        """The tiles for so many images."""
        weight = self.convolution.parameters["weight"]
        channels = self.shape[0] * self.stride**2 + len(weight)
        padding = self.padding if self.stride == 1 else (0, 0)
        return geometry(images, channels, self.out, folded_size(weight.shape[2], self.stride), padding)


def evaluate(layers: Sequence[Step], x: Array, *, rng: np.random.Generator | None, kept: Kept) -> Array:
    """Do as `nn.evaluate`, to 1e-4 of the largest output of exact arithmetic.

    Args:
        kept: what is added to it serves the next call.
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
    """The pieces from a place on, as far as one follows the other, and the place after them."""
    pieces: list[Piece] = []
    if not takes_twin(x):
        return pieces, place
    shape = x.shape
    while place < len(layers):
        layer = layers[place]
        if pieces and rng is None and layer.kind == "dropout":
            place += 1
        elif layer.kind == "convolution" and takes_twin(*layer.parameters.values()) and _takes_tiles(layer):
            if pieces and layer.options["stride"] not in (1, (1, 1)):  # a program folds no more than its input
                break
            piece, place = _piece(layers, place, shape)
            pieces.append(piece)
            shape = (len(x), piece.made[2], *piece.made[:2])
        else:
            break
    return pieces, place


def _piece(layers: Sequence[Step], place: int, shape: tuple[int, ...]) -> tuple[Piece, int]:
    """The piece that begins with the convolution at a place, and the place after it; shape is x's."""
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
    """One piece after the other; (N, F, OH, OW) with channels last in memory."""
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
    """Transform the filters for so many images at a time that are not there yet."""
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
    """The work on images x, (n, C, H, W) if the first piece folds and else (n, H, W, C), to y (n, OH, OW, F)."""
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
    """The steps of one piece on maps (n, h, w, c), a chunk of images at a time."""
    how, groups = piece.geometry(len(maps)), piece.convolution.options["groups"]
    bias, F = np.ascontiguousarray(piece.convolution.parameters["bias"]), y.shape[3]
    filters = kept.filters[piece.place, len(how.taps)]
    least = np.float32(0) if piece.relu else UNBOUNDED
    values, products = how.room(groups, maps.shape[3]), how.room(groups, F)
    sizes = [piece.out, *(out for _, _, out in piece.pools)][:-1]
    rooms = [np.empty((how.chunk, *size, F), np.float32) for size in sizes]  # of all but what the last pooling makes
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
