"""The hypotheses of the cuts and their gains: seeds, the cost of touching the image's frame, and lambda.

Gains are sums over the pixels of a superpixel, all of which are given its mean colour.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.o2p.cpmc.graph import UNIT

FRAME_COST = 1.0 * UNIT  # of putting a frame pixel into the foreground
COLOUR_COST = 0.3 * UNIT  # of a pixel on one side with exactly a colour of the other side's palette
DECAY = 0.07  # exponential decay of that cost with the L1 distance in RGB
COLOURS = 5  # number of colours in each side's palette
ROUNDS = 10  # of the clustering that finds them, at most
SEED_GAIN = 2**40  # more than the cost of all boundaries in an image


class Hypotheses(NamedTuple):
    """B hypotheses for one image: each a seed of the foreground, and a part of the image's frame taken as background.

    seeds | (B, S) | bool    | superpixels of the seed, which must be foreground
    frame | (B, S) | float64 | sum of weights, at least 0, over a superpixel's pixels on that part of the frame
    """

    seeds: np.ndarray
    frame: np.ndarray


def grid_seeds(superpixels: np.ndarray, *, grid: int = 5, size: int = 40) -> Hypotheses:
    """Return a hypothesis for each point of a grid: a square seed there, and the whole frame as background.

    superpixels | (H, W) | integer | 0..S-1

    A superpixel belongs to the seed if more than half of it is inside the square, or if it contains the centre of the
    square. A pixel of the frame is weighted by its distance from the centre, relative to the largest such distance, so
    that an object at the border can reach the nearby part of the frame.

    Args:
        grid: number of points down and across; hypotheses are ordered row by row.
        size: side of the square in pixels.

    Raises:
        ShapeError: the superpixels are not (H, W), are empty or have a negative number.
    """
    areas = _areas(superpixels)
    rows, columns = (np.floor((np.arange(grid) + 0.5) * n / grid).astype(int) for n in superpixels.shape)
    on_frame = np.ones(superpixels.shape, np.bool_)
    on_frame[1:-1, 1:-1] = False
    border, (frame_rows, frame_columns) = superpixels[on_frame], np.nonzero(on_frame)
    seeds = np.zeros((grid**2, len(areas)), np.bool_)
    frame = np.zeros((grid**2, len(areas)))
    for b, (row, column) in enumerate((r, c) for r in rows for c in columns):
        low_row, low_column = max(0, row - size // 2), max(0, column - size // 2)
        square = superpixels[low_row : row + (size + 1) // 2, low_column : column + (size + 1) // 2]
        seeds[b] = 2 * np.bincount(square.ravel(), minlength=len(areas)) > areas
        seeds[b, superpixels[row, column]] = True
        distance = np.hypot(frame_rows - row, frame_columns - column)
        frame[b] = np.bincount(border, distance / max(distance.max(), 1), len(areas))
    return Hypotheses(seeds, frame)


def frame_hypotheses(superpixels: np.ndarray) -> Hypotheses:
    """Return six hypotheses without a seed, each with a part of the frame as background.

    The parts are all four sides; all but the bottom; top and bottom; left and right; the bottom; and the top. A pixel's
    weight is the number of these sides that it is on: 2 in a corner where both are taken.

    superpixels | (H, W) | integer | 0..S-1

    Raises:
        ShapeError: the superpixels are not (H, W), are empty or have a negative number.
    """
    areas = _areas(superpixels)
    top, bottom = superpixels[:1], superpixels[-1:]
    left, right = superpixels[:, :1], superpixels[:, -1:]
    parts = ((top, bottom, left, right), (top, left, right), (top, bottom), (left, right), (bottom,), (top,))
    frame = [sum(np.bincount(side.ravel(), minlength=len(areas)) for side in part) for part in parts]
    return Hypotheses(np.zeros((len(parts), len(areas)), np.bool_), np.array(frame, np.float64))


def _areas(superpixels: np.ndarray) -> np.ndarray:
    if superpixels.ndim != 2 or superpixels.size == 0 or superpixels.min() < 0:
        raise ShapeError(f"superpixels must be a map (H, W) of numbers from 0, got {superpixels.shape}")
    return np.bincount(superpixels.ravel())


def lambdas(upper: float, *, count: int = 20, lower: float = 1e-3) -> np.ndarray:
    """Return zero and `count` logarithmically spaced values from `lower` to `upper`: (count + 1,) float64."""
    return np.concatenate([[0.0], np.geomspace(lower, upper, count)])


def uniform_gains(
    hypotheses: Hypotheses, areas: np.ndarray, schedule: np.ndarray, extra: np.ndarray | float = 0.0
) -> np.ndarray:
    """Compute gains without colour: lambda for each pixel of a superpixel, minus the cost of its pixels on the frame.

    areas    | (S,)      | integer  | pixels of each superpixel
    schedule | (L,)      | floating | lambda of each step, never falling
    extra    | (B, S)    | floating | added to the gains in every step
    returns  | (B, L, S) | int64    | SEED_GAIN at seeds

    Raises:
        ShapeError: the arrays do not fit each other.
    """
    if hypotheses.seeds.shape != hypotheses.frame.shape or hypotheses.seeds.shape[1:] != areas.shape:
        raise ShapeError(f"hypotheses {hypotheses.seeds.shape} and areas {areas.shape} must be of the same superpixels")
    constant = extra - FRAME_COST * hypotheses.frame  # (B, S)
    gain = np.rint(constant[:, None] + schedule[:, None] * areas).astype(np.int64)  # (B, L, S)
    return np.where(hypotheses.seeds[:, None], SEED_GAIN, gain)


def colour_gains(hypotheses: Hypotheses, areas: np.ndarray, schedule: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Compute `uniform_gains`, plus each pixel's similarity to the seed's colours, minus that to the frame's colours.

    colours | (S, 3) | floating | mean R, G, B of each superpixel, 0..255; for the others see `uniform_gains`

    The seed and the frame each have a palette of up to 5 colours. The similarity of a pixel to a palette is
    300 * exp(-0.07 * smallest L1 distance to one of its colours).
    """
    # The frame is the same for all seeds: only the distances in it differ.
    of_frame = _likeness(colours, hypotheses.frame.sum(axis=0))
    of_seed = [_likeness(colours, areas * seed) for seed in hypotheses.seeds]
    return uniform_gains(hypotheses, areas, schedule, areas * (np.stack(of_seed) - of_frame))


def _likeness(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return how similar a pixel of each superpixel is to the palette of the superpixels' weighted colours: (S,)."""
    if not weights.any():  # the frame of an image of one pixel
        return np.zeros(len(colours))
    centres = palette(colours, weights)
    distance = np.abs(colours[:, None] - centres).sum(axis=2).min(axis=1)  # (S,)
    return COLOUR_COST * np.exp(-DECAY * distance)


def palette(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Cluster colours by Lloyd's algorithm.

    colours | (N, 3) | floating | such as the mean R, G, B of superpixels
    weights | (N,)   | number   | at least 0, some above 0: pixels that the colour stands for
    returns | (P, 3) | float64  | at most COLOURS (5) centres; fewer if there are fewer different colours

    The first centre is initially the colour of largest weight, each other one the colour farthest from those before it.
    """
    used = weights > 0
    x, w = colours[used].astype(np.float64), weights[used].astype(np.float64)
    centres = x[[np.argmax(w)]]  # (1, 3)
    nearest = np.square(x - centres[0]).sum(axis=1)
    while len(centres) < COLOURS and nearest.max() > 0:
        centres = np.concatenate([centres, x[[nearest.argmax()]]])
        nearest = np.minimum(nearest, np.square(x - centres[-1]).sum(axis=1))
    owner = np.full(len(x), -1)
    for _ in range(ROUNDS):
        before, owner = owner, np.square(x[:, None] - centres).sum(axis=2).argmin(axis=1)
        if np.array_equal(before, owner):
            break
        mass = np.bincount(owner, w, len(centres))
        for axis in range(x.shape[1]):
            total = np.bincount(owner, w * x[:, axis], len(centres))
            centres[:, axis] = np.where(mass > 0, total / np.where(mass > 0, mass, 1), centres[:, axis])
    return centres
