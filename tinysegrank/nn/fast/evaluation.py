"""Numba version of `nn.evaluate`: run layers in order without keeping activations.

A convolution is fused with the ReLU, pooling and normalisations that follow it into one piece of work. The batch is
split into parts of 8 to 15 images, and a thread takes a part through all consecutive pieces: threads need not wait for
each other, and the output of a piece is still in the cache when the next piece reads it. With fewer than 16 images, all
threads share the jobs of each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import Pair, check_conv2d, check_max_pool2d, check_norm_size, pair
from tinysegrank.nn.fast import Kept, Step, takes_tiles, uses_numba
from tinysegrank.nn.fast.filters import filter_values
from tinysegrank.nn.fast.fold import fold_filters, folded_size
from tinysegrank.nn.fast.geometry import Geometry, geometry
from tinysegrank.nn.fast.pieces import NOTHING, UNBOUNDED, Norm, Piece, piece_of, run_pieces
from tinysegrank.nn.fast.threads import share

PART = 8  # minimum number of images per part; a batch of fewer than two parts is not split


class Fused(NamedTuple):
    """A convolution and the layers fused with it.

    Attributes:
        place: index of the convolution among the layers.
        shape: (C, H, W) of the convolution's input.
        stride, padding, out: of the convolution; `out` is its output size.
        relu: whether a ReLU follows.
        before: normalisation that follows next, before any pooling.
        pool: (window size, stride, output size) of the pooling that follows next; zeros if none does.
        after: normalisation that follows the pooling.
    """

    place: int
    convolution: Step
    shape: tuple[int, int, int]
    stride: int
    padding: Pair
    out: Pair
    relu: bool = False
    before: Norm = Norm()
    pool: tuple[Pair, Pair, Pair] = ((0, 0),) * 3
    after: Norm = Norm()

    @property
    def made(self) -> tuple[int, int, int]:
        """Shape of the output for one image, (H, W, F), after the fused layers."""
        H, W = self.pool[2] if self.pool[0] != (0, 0) else self.out
        return H, W, len(self.convolution.parameters["weight"])

    def geometry(self, images: int) -> Geometry:
        """Return the tiles and chunks of the convolution for a number of images."""
        weight = self.convolution.parameters["weight"]
        channels = self.shape[0] * self.stride**2 + len(weight)
        return geometry(images, channels, self.out, weight.shape[2], self.stride, self.padding)

    def piece(self, x: np.ndarray, filters: np.ndarray, y: np.ndarray) -> Piece:
        """Return the piece that reads x (N, h, w, c), with the stride folded, and writes y (N, H, W, F)."""
        how, groups = self.geometry(len(x)), self.convolution.options["groups"]
        pooled = self.pool[0] != (0, 0)
        return piece_of(how, x, filters, self.convolution.parameters["bias"], y, groups=groups)._replace(
            least=np.float32(0) if self.relu else UNBOUNDED,
            before=self.before,
            made=np.empty((how.chunk, *self.out, len(self.convolution.parameters["weight"])), np.float32)
            if pooled
            else NOTHING,
            size=self.pool[0],
            stride_of_pool=self.pool[1],
            after=self.after,
        )


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
    """Return the consecutive convolutions from layer `place` on, each fused, and the index of the layer after them.

    There are none if x or the layer at `place` has no faster way. With rng=None, dropout after one is skipped.
    """
    found: list[Fused] = []
    if not uses_numba(x):
        return found, place
    shape = x.shape
    while place < len(layers):
        layer = layers[place]
        if found and rng is None and layer.kind == "dropout":
            place += 1
        elif layer.kind == "convolution" and uses_numba(*layer.parameters.values()) and _takes_tiles(layer):
            if found and layer.options["stride"] not in (1, (1, 1)):  # only the first input is folded
                break
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
    fused = Fused(place, convolution, (shape[1], shape[2], shape[3]), stride[0], padding, out)

    def follows(kind: str) -> bool:
        return place < len(layers) and layers[place].kind == kind

    place += 1
    if follows("relu"):
        fused, place = fused._replace(relu=True), place + 1
    if follows("normalisation"):
        fused, place = fused._replace(before=_norm(layers[place])), place + 1
    if follows("pooling"):
        pool = check_max_pool2d((shape[0], len(weight), *out), **layers[place].options)
        fused, place = fused._replace(pool=pool), place + 1
        if follows("normalisation"):
            fused, place = fused._replace(after=_norm(layers[place])), place + 1
    return fused, place


def _norm(layer: Step) -> Norm:
    check_norm_size(layer.options["size"])
    return Norm(layer.options["size"], *(float(layer.options[name]) for name in ("alpha", "beta", "k")))


def _takes_tiles(convolution: Step) -> bool:
    stride = pair(convolution.options["stride"], name="stride", least=1)
    return takes_tiles(convolution.parameters["weight"], stride)


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

    if count > 1:
        share(run_parts, count, y.size * count)
    else:
        run_parts(0, 1)
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
