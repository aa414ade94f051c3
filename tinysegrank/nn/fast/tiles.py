"""Maps to Winograd points and back, some rows of tiles at a time.

Maps are (N, H, W, C), with channels last, and taken as 0 outside. Points are (M, G, P, C/G): for each tile, in row
order, and each group its P values per channel; so both sides of a transform are close together in memory. C/G is
rounded up to a multiple of LANES there. Rows of tiles are numbered across all maps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.geometry import Geometry
from tinysegrank.nn.fast.transforms import (
    LANES,
    address,
    inputs_to_points,
    outputs_to_points,
    points_to_inputs,
    points_to_outputs,
)


def _cutter(to_points: Callable[..., None]) -> Callable[[np.ndarray, Geometry, Pair, np.ndarray], None]:
    """Return a compiled function that applies `to_points` to the tiles of maps (N, H, W, C).

    It does so for rows of tiles `rows[0]` to `rows[1]`, exclusive, and writes the points to `values`.
    """

    @compiled(error_model="numpy")
    def cut(x: np.ndarray, how: Geometry, rows: Pair, values: np.ndarray) -> None:
        tile = _room(how, values)
        flat, points, room = address(x), address(values), address(tile)
        for number in range(rows[0] * how.tiles[1], rows[1] * how.tiles[1]):
            for group in range(values.shape[1]):
                inside, start, steps = _find(x, how, number, group, values, tile)
                first, strides = _points(values, number, group)
                source = flat if inside else room
                for c in range(0, values.shape[3], LANES):
                    to_points(how.kind, source, start + c, steps, points, first + c, strides)

    return cut


def _joiner(
    from_points: Callable[..., None], *, overlap: bool
) -> Callable[[np.ndarray, Geometry, Pair, np.ndarray, np.float32, np.ndarray], None]:
    """Return a compiled function that transforms points to the tiles of maps y (N, H, W, F) by `from_points`.

    It writes y = max(tiles + bias, least). Where tiles overlap, it adds them to y instead: then one job has all rows of
    an image.
    """

    @compiled(error_model="numpy")
    def join(values: np.ndarray, how: Geometry, rows: Pair, bias: np.ndarray, least: np.float32, y: np.ndarray) -> None:
        (_, H, W, F), (_, groups, _, C), side = y.shape, values.shape, how.side
        tile, channels = _room(how, values), F // groups
        points, room = address(values), address(tile)
        for number in range(rows[0] * how.tiles[1], rows[1] * how.tiles[1]):
            image, top, left = _corner(how, number)
            for group in range(groups):
                first, strides = _points(values, number, group)
                for c in range(0, C, LANES):
                    from_points(how.kind, points, first + c, strides, room, c, (side * C, C))
                addend = bias[group * channels : (group + 1) * channels]
                for e in range(max(0, -top), min(side, H - top)):
                    for d in range(max(0, -left), min(side, W - left)):
                        target = y[image, top + e, left + d, group * channels : (group + 1) * channels]
                        source = tile[(e * side + d) * C : (e * side + d) * C + channels]
                        for c in range(channels):
                            total = source[c] + (target[c] if overlap else addend[c])
                            target[c] = least if total < least else total  # a NaN stays

    return join


cut_inputs = _cutter(inputs_to_points)
"""Transform the overlapping tiles of a convolution's input to points."""
join_inputs = _joiner(points_to_inputs, overlap=True)
"""Transform points to the tiles of the gradient of an input, and sum them: the adjoint of `cut_inputs`."""
cut_outputs = _cutter(outputs_to_points)
"""Transform the tiles of the gradient of a convolution's output to points: the adjoint of `join_outputs`."""
join_outputs = _joiner(points_to_outputs, overlap=False)
"""Transform points to the tiles of a convolution's output."""


@compiled(error_model="numpy")
def _room(how: Geometry, values: np.ndarray) -> np.ndarray:
    """Return a buffer for one tile of one group."""
    return np.zeros(how.side * how.side * values.shape[3], np.float32)


@compiled(error_model="numpy")
def _points(values: np.ndarray, number: int, group: int) -> tuple[int, Pair]:
    """Return the index of a tile's first point in the flat values, and the distances between rows and columns."""
    _, G, P, C = values.shape
    return (number * G + group) * P * C, (round(np.sqrt(P)) * C, C)


@compiled(error_model="numpy")
def _corner(how: Geometry, number: int) -> tuple[int, int, int]:
    """Return the image of a tile, and its top left pixel."""
    down, across = how.tiles
    row, column = number // across, number % across
    return row // down, row % down * how.step - how.before[0], column * how.step - how.before[1]


@compiled(error_model="numpy")
def _find(
    x: np.ndarray, how: Geometry, number: int, group: int, values: np.ndarray, tile: np.ndarray
) -> tuple[bool, int, Pair]:
    """Find a tile in the flat maps, or copy it to `tile` if it reaches outside or its channels don't fill vectors.

    Return whether it is in the maps, the index where it starts there, and the distances between rows and columns.
    """
    (_, H, W, C), G, channels, side = x.shape, values.shape[1], values.shape[3], how.side
    image, top, left = _corner(how, number)
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
