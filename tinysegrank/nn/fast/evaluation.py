"""Numba version of `nn.evaluate`: run layers in order without keeping activations.

A convolution is fused with the ReLU, pooling and normalisations that follow it into one piece of work. The batch is
split into parts of 8 to 12 images, and a thread takes a part through all consecutive pieces: threads need not wait for
each other, and the output of a piece is still in the cache when the next piece reads it. With fewer than 16 images, all
threads share the jobs of each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import Pair, check_conv2d, check_max_pool2d, check_norm_size
from tinysegrank.nn.fast import Kept, Step, takes_tiles, uses_numba
from tinysegrank.nn.fast.filters import filter_values
from tinysegrank.nn.fast.fold import fold_filters, folded_size
from tinysegrank.nn.fast.geometry import Geometry, geometry
from tinysegrank.nn.fast.pieces import NOTHING, Norm, Piece, piece_of, run_pieces
from tinysegrank.nn.fast.threads import share

PART = 8  # minimum number of images per part; a batch of fewer than two parts is not split


class Fused(NamedTuple):
    """A convolution and the layers fused with it.

    Attributes:
        place, convolution: index of the convolution among the layers, and its description.
        shape: (C, H, W) of the convolution's input.
        stride, padding, out: of the convolution; `out` is its output size.
        made: shape of the output for one image, (H, W, F), after the fused layers.
        followers: fields of `Piece` that the fused layers set.
    """

    place: int
    convolution: Step
    shape: tuple[int, int, int]
    stride: int
    padding: Pair
    out: Pair
    made: tuple[int, int, int]
    followers: Mapping[str, Any]

    def geometry(self, images: int) -> Geometry:
        """Return the tiles and chunks of the convolution for a number of images."""
        weight = self.convolution.parameters["weight"]
        channels = self.shape[0] * self.stride**2 + len(weight)
        return geometry(images, channels, self.out, weight.shape[2], self.stride, self.padding)

    def piece(self, x: np.ndarray, filters: np.ndarray, y: np.ndarray) -> Piece:
        """Return the piece that reads x (N, h, w, c), with the stride folded, and writes y (N, H, W, F)."""
        how, bias = self.geometry(len(x)), self.convolution.parameters["bias"]
        piece = piece_of(how, x, filters, bias, y, groups=self.convolution.options["groups"])
        pooled = "size" in self.followers
        made = np.empty((how.chunk, *self.out, len(bias)), np.float32) if pooled else NOTHING
        return piece._replace(made=made, **self.followers)


def evaluate(layers: Sequence[Step], x: Array, *, rng: np.random.Generator | None, kept: Kept) -> Array:
    """Numba version of `nn.evaluate`: run layers in order, and return the output of the last.

    Errors are at most 1e-4 of the largest exact output.

    Args:
        layers: descriptions of the layers, in order.
        x: (N, ...), input of the first layer.
        rng: for dropout; None skips dropout.
        kept: cache, which this call reads and extends; the caller holds its lock.
    """
    place = 0
    while place < len(layers):
        convolutions, end = _fuse(layers, place, x, rng)
        if convolutions:
            x = _run(convolutions, x, kept)
        else:
            x, _ = layers[place].forward(x, rng=rng)
        place = max(end, place + 1)
    return x


def _fuse(layers: Sequence[Step], place: int, x: Array, rng: np.random.Generator | None) -> tuple[list[Fused], int]:
    """Return consecutive convolutions from layer `place` on, fused with what follows, and the index of the next layer.

    There are none if x or layer `place` has no faster way. With rng=None, dropout after a convolution is skipped.
    """
    found: list[Fused] = []
    if not uses_numba(x):
        return found, place
    shape = x.shape
    while place < len(layers):
        layer = layers[place]
        if found and rng is None and layer.kind == "dropout":
            place += 1
        elif (
            layer.kind == "convolution"
            and uses_numba(*layer.parameters.values())
            and takes_tiles(layer.parameters["weight"], layer.options["stride"])
            and not (found and layer.options["stride"] != (1, 1))  # only the first input is folded
        ):
            fused, place = _fuse_one(layers, place, shape)
            found.append(fused)
            shape = (len(x), fused.made[2], *fused.made[:2])
        else:
            break
    return found, place


def _fuse_one(layers: Sequence[Step], place: int, shape: tuple[int, ...]) -> tuple[Fused, int]:
    """Fuse the convolution at index `place` with layers that follow; return it and the index of the layer after them.

    `shape` is (N, C, H, W) of the convolution's input.
    """
    convolution = layers[place]
    weight, bias = convolution.parameters["weight"], convolution.parameters["bias"]
    like_x = np.empty((0, *shape[1:]), np.float32)
    stride, padding, out = check_conv2d(like_x, weight, bias, **convolution.options)
    followers: dict[str, Any] = {}
    made, end = out, place + 1

    def follows(kind: str) -> bool:
        return end < len(layers) and layers[end].kind == kind

    if follows("relu"):
        followers["least"], end = np.float32(0), end + 1
    if follows("normalisation"):
        followers["before"], end = _norm(layers[end]), end + 1
    if follows("pooling"):
        size, step, made = check_max_pool2d((shape[0], len(weight), *out), **layers[end].options)
        followers |= {"size": size, "stride_of_pool": step}
        end += 1
        if follows("normalisation"):
            followers["after"], end = _norm(layers[end]), end + 1
    size_of_input = shape[1], shape[2], shape[3]
    fused = Fused(place, convolution, size_of_input, stride[0], padding, out, (*made, len(weight)), followers)
    return fused, end


def _norm(layer: Step) -> Norm:
    check_norm_size(layer.options["size"])
    return Norm(layer.options["size"], *(float(layer.options[name]) for name in ("alpha", "beta", "k")))


def _run(convolutions: Sequence[Fused], x: np.ndarray, kept: Kept) -> np.ndarray:
    """Run consecutive convolutions on x (N, C, H, W); return (N, F, OH, OW), with channels last in memory."""
    first, N, count = convolutions[0], len(x), max(1, len(x) // PART)
    x = np.ascontiguousarray(x if first.stride > 1 else x.transpose(0, 2, 3, 1))  # (N, H, W, C) where nothing folds
    y = np.empty((N, *convolutions[-1].made), np.float32)  # (N, OH, OW, F)
    parts = [slice(N * part // count, N * (part + 1) // count) for part in range(count)]
    keys = {(first.place, part.stop - part.start, x.shape[1:]) for part in parts}
    for key in [key for key in kept.rooms if key[0] == first.place and key not in keys]:
        del kept.rooms[key]
    rooms = {n: kept.rooms.setdefault((place, n, shape), []) for place, n, shape in keys}
    filters = {n: _filters(convolutions, n, kept) for n in rooms}

    def run_parts(start: int, stop: int) -> None:
        for part in parts[start:stop]:
            n = part.stop - part.start
            try:
                pieces = rooms[n].pop()
            except IndexError:  # all are in use
                pieces = _pieces(convolutions, n, filters[n])
            given = list(pieces)
            given[0] = given[0]._replace(**{"source" if first.stride > 1 else "x": x[part]})
            given[-1] = given[-1]._replace(y=y[part])
            run_pieces(given, alone=count > 1)
            rooms[n].append(pieces)

    share(run_parts, count, y.size * count)
    return y.transpose(0, 3, 1, 2)


def _filters(convolutions: Sequence[Fused], images: int, kept: Kept) -> list[np.ndarray]:
    """Return each convolution's transformed filters for parts of `images` images, cached in `kept`."""
    found = []
    for each in convolutions:
        kind = each.geometry(images).inputs.kind
        if (key := (each.place, kind)) not in kept.filters:
            folded = fold_filters(each.convolution.parameters["weight"], each.stride)
            kept.filters[key] = filter_values(folded, kind, each.convolution.options["groups"], filters_first=False)
        found.append(kept.filters[key])
    return found


def _pieces(convolutions: Sequence[Fused], images: int, filters: Sequence[np.ndarray]) -> list[Piece]:
    """Return the pieces of a part of `images` images; the first one's input and the last one's output are left empty.

    The input is `source` if a stride is folded, otherwise `x`; the output is `y`.
    """
    first = convolutions[0]
    C, k = first.shape[0], folded_size(first.convolution.parameters["weight"].shape[2], first.stride)
    folded = (first.out[0] + k - 1, first.out[1] + k - 1, C * first.stride**2)
    x = np.empty((images, *folded) if first.stride > 1 else (images, 0, 0, C), np.float32)
    pieces = []
    for each, values in zip(convolutions, filters, strict=True):
        y = np.empty((images, *each.made) if each is not convolutions[-1] else (0, 0, 0, 0), np.float32)
        pieces.append(each.piece(x, values, y))
        x = y
    pieces[0] = pieces[0]._replace(stride=first.stride, padding=first.padding)
    return pieces
