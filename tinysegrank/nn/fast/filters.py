"""Winograd transforms of filters and, for the backward pass, of the gradients with respect to them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.cook_toom import KINDS
from tinysegrank.nn.fast.products import WIDTH
from tinysegrank.nn.fast.threads import share
from tinysegrank.nn.fast.transforms import LANES, address, points_to_taps, taps_to_points


def filter_values(weight: np.ndarray, kind: int, groups: int, *, filters_first: bool) -> np.ndarray:
    """Return the filters of G groups, transformed to their values at P points and packed as `multiply` needs them.

    weight  | (F, C/G, r, r)            | float32 |
    returns | (G * P, panels, K, WIDTH) | float32 | panels of K rows; columns beyond the last are 0

    A panel has a row per channel (K = C/G) and a column per filter; with `filters_first` it has a row per filter
    (K = F/G) and a column per channel. `kind` is an index into KINDS.
    """
    F, C, r, _ = weight.shape
    order = (0, 3, 1, 2) if filters_first else (0, 3, 2, 1)
    split = weight.reshape(groups, F // groups, C, r * r).transpose(order)  # (G, r * r, A, B)
    _, _, A, B = split.shape
    panels, P = -(-B // WIDTH), (sum(KINDS[kind]) - 1) ** 2
    padded = np.zeros((groups, r * r, A, panels * WIDTH), np.float32)
    padded[..., :B] = split
    taps = np.ascontiguousarray(padded.reshape(groups, r * r, A, panels, WIDTH).swapaxes(2, 3))
    rows = taps.reshape(groups, r * r, -1)  # (G, r * r, panels * A * WIDTH)
    values = np.empty((groups, P, rows.shape[2]), np.float32)
    share(lambda *part: _transform(rows, kind, part, values), rows.shape[2] // LANES, values.size)
    return values.reshape(groups * P, panels, A, WIDTH)


def filter_gradient(gvalues: np.ndarray, kind: int, groups: int, channels: int) -> np.ndarray:
    """Return the gradient with respect to the filters, from that with respect to their values at the P points.

    gvalues | (G * P, F/G, C)     | float32 | C is `channels`, of a group, rounded up to a multiple of LANES
    returns | (F, channels, r, r) | float32 |
    """
    (_, r), (_, F, C) = KINDS[kind], gvalues.shape
    rows = gvalues.reshape(groups, -1, F * C)
    taps = np.empty((groups, r * r, F * C), np.float32)
    share(lambda *part: _transform_back(rows, kind, part, taps), F * C // LANES, gvalues.size)
    split = taps.reshape(groups, r, r, F, C)[..., :channels].transpose(0, 3, 4, 1, 2)  # (G, F/G, channels, r, r)
    return split.reshape(groups * F, channels, r, r)


def _over_rows(transform: Callable[..., None]) -> Callable[[np.ndarray, int, Pair, np.ndarray], None]:
    """Return a compiled function that applies `transform` to the tiles of one array and writes those of another.

    The tiles are the L columns of each group in (G, side^2, L). A call transforms the columns of vectors
    part[0]..part[1]-1, each of LANES columns.
    """

    @compiled(error_model="numpy")
    def apply(source: np.ndarray, kind: int, part: Pair, target: np.ndarray) -> None:
        (G, A, L), B = source.shape, target.shape[1]
        flat, out = address(source), address(target)
        for g in range(G):
            for c in range(part[0] * LANES, part[1] * LANES, LANES):
                steps, strides = (round(np.sqrt(A)) * L, L), (round(np.sqrt(B)) * L, L)
                transform(kind, flat, g * A * L + c, steps, out, g * B * L + c, strides)

    return apply


_transform, _transform_back = _over_rows(taps_to_points), _over_rows(points_to_taps)
