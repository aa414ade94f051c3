"""Transform the tiles of maps to Winograd points and back.

Maps are (N, H, W, C), with channels last, and count as 0 outside. Points, the values of tiles at the P interpolation
points, are (M, G, P, C/G): M tiles in row order, G groups of channels. So both sides of a transform are close together
in memory. C/G is rounded up to a multiple of LANES in points. Tiles, and rows of tiles, are numbered across all maps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.transforms import (
    LANES,
    address,
    inputs_to_points,
    outputs_to_points,
    points_to_inputs,
    points_to_outputs,
)


class Tiling(NamedTuple):
    """Positions of a map's tiles.

    Attributes:
        kind: index into `KINDS`.
        side: side length of a tile in pixels.
        step: distance in pixels from one tile to the next.
        before: number of rows of zeros above the map, and of columns of zeros to its left.
        tiles: number of tiles down and across.
    """

    kind: int
    side: int
    step: int
    before: Pair
    tiles: Pair


def _cutter(to_points: Callable[..., None]) -> Callable[[np.ndarray, Tiling, Pair, np.ndarray], None]:
    """Return a compiled function that transforms tiles of x (N, H, W, C) by `to_points`, and writes them to `values`.

    A call transforms rows[0]..rows[1]-1 of the rows of tiles.
    """

    @compiled(error_model="numpy")
    def cut(x: np.ndarray, tiling: Tiling, rows: Pair, values: np.ndarray) -> None:
        tile = _room(tiling, values)
        flat, points, room = address(x), address(values), address(tile)
        for number in range(rows[0] * tiling.tiles[1], rows[1] * tiling.tiles[1]):
            for group in range(values.shape[1]):
                inside, start, steps = _find(x, tiling, number, group, values, tile)
                first, strides = _points(values, number, group)
                source = flat if inside else room
                for c in range(0, values.shape[3], LANES):
                    to_points(tiling.kind, source, start + c, steps, points, first + c, strides)

    return cut


cut_inputs = _cutter(inputs_to_points)
"""Transform overlapping tiles of a convolution's input to points."""
cut_outputs = _cutter(outputs_to_points)
"""Transform tiles of the gradient with respect to a convolution's output to points: the adjoint of `join`."""


@compiled(error_model="numpy")
def join(values: np.ndarray, tiling: Tiling, rows: Pair, bias: np.ndarray, least: np.float32, y: np.ndarray) -> None:
    """Transform points to rows[0]..rows[1]-1 of the output's rows of tiles; write y = max(tiles + bias, least)."""
    tile, (_, H, W, F) = _room(tiling, values), y.shape
    points, room = address(values), address(tile)
    groups, side, C = values.shape[1], tiling.side, values.shape[3]
    channels = F // groups
    for number in range(rows[0] * tiling.tiles[1], rows[1] * tiling.tiles[1]):
        image, top, left = _corner(tiling, number)
        for group in range(groups):
            first, strides = _points(values, number, group)
            for c in range(0, C, LANES):
                points_to_outputs(tiling.kind, points, first + c, strides, room, c, (side * C, C))
            addend = bias[group * channels : (group + 1) * channels]
            for e in range(min(side, H - top)):
                for d in range(min(side, W - left)):
                    target = y[image, top + e, left + d, group * channels : (group + 1) * channels]
                    source = tile[(e * side + d) * C : (e * side + d) * C + channels]
                    for c in range(channels):
                        total = source[c] + addend[c]
                        target[c] = least if total < least else total  # a NaN stays


@compiled(error_model="numpy")
def add(values: np.ndarray, tiling: Tiling, images: Pair, x: np.ndarray) -> None:
    """Set images[0]..images[1]-1 of x to the sum of their tiles, transformed from points: adjoint of `cut_inputs`."""
    tile, (_, H, W, F) = _room(tiling, values), x.shape
    points, room = address(values), address(tile)
    groups, side, C, (down, across) = values.shape[1], tiling.side, values.shape[3], tiling.tiles
    channels = F // groups
    x[images[0] : images[1]] = 0
    for number in range(images[0] * down * across, images[1] * down * across):
        image, top, left = _corner(tiling, number)
        for group in range(groups):
            first, strides = _points(values, number, group)
            for c in range(0, C, LANES):
                points_to_inputs(tiling.kind, points, first + c, strides, room, c, (side * C, C))
            for e in range(max(0, -top), min(side, H - top)):
                for d in range(max(0, -left), min(side, W - left)):
                    target = x[image, top + e, left + d, group * channels : (group + 1) * channels]
                    source = tile[(e * side + d) * C : (e * side + d) * C + channels]
                    for c in range(channels):
                        target[c] += source[c]


@compiled(error_model="numpy")
def _room(tiling: Tiling, values: np.ndarray) -> np.ndarray:
    """Return a buffer of zeros for one tile of one group."""
    return np.zeros(tiling.side * tiling.side * values.shape[3], np.float32)


@compiled(error_model="numpy")
def _points(values: np.ndarray, number: int, group: int) -> tuple[int, Pair]:
    """Return the index of a tile's first point in the flat `values`, and the distances between its rows and columns."""
    _, G, P, C = values.shape
    return (number * G + group) * P * C, (round(np.sqrt(P)) * C, C)


@compiled(error_model="numpy")
def _corner(tiling: Tiling, number: int) -> tuple[int, int, int]:
    """Return the image of tile `number`, and the row and column of its top left pixel, negative in the padding."""
    down, across = tiling.tiles
    row, column = number // across, number % across
    return row // down, row % down * tiling.step - tiling.before[0], column * tiling.step - tiling.before[1]


@compiled(error_model="numpy")
def _find(
    x: np.ndarray, tiling: Tiling, number: int, group: int, values: np.ndarray, tile: np.ndarray
) -> tuple[bool, int, Pair]:
    """Find one group of tile `number` in the maps, or copy it to the buffer `tile`.

    It is copied, with zeros outside the maps, if it reaches outside or its channels don't fill vectors. Return whether
    it is in the maps, its first index in the flat maps or buffer, and the distance from row to row and from column to
    column in entries.
    """
    (_, H, W, C), G, channels, side = x.shape, values.shape[1], values.shape[3], tiling.side
    image, top, left = _corner(tiling, number)
    if G * channels == C and top >= 0 and left >= 0 and top + side <= H and left + side <= W:
        return True, ((image * H + top) * W + left) * C + group * channels, (W * C, C)
    low, size = group * (C // G), C // G
    for e in range(side):
        for d in range(side):
            target = tile[(e * side + d) * channels : (e * side + d) * channels + size]
            if 0 <= top + e < H and 0 <= left + d < W:
                source = x[image, top + e, left + d, low : low + size]
                for c in range(size):
                    target[c] = source[c]
            else:
                target[:] = 0
    return False, 0, (side * channels, channels)
