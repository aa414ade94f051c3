"""The gains of the parametric cuts: what a superpixel saves by being foreground, for every lambda.

Kept from CPMC: the frame's weight of 1000, the colour term and its constants, lambda on every pixel that is no seed.
Changed: all is summed over superpixels, whose mean colour stands for their pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.cpmc.boundaries import UNIT
from tinysegrank.proposals.cpmc.palette import palette
from tinysegrank.proposals.cpmc.seeds import Hypotheses

FRAME_COST = 1.0 * UNIT  # of a pixel of the frame in the foreground
COLOUR_COST = 0.3 * UNIT  # of a pixel on one side whose colour is just one of the other side's
DECAY = 0.07  # of that cost with the L1 distance in RGB
COLOURS = 5  # in the palette of each side
SEED_GAIN = 2**40  # more than all the boundaries of an image cost


def lambdas(upper: float, *, count: int = 20, lower: float = 1e-3) -> NDArray[np.float64]:
    """Zero and `count` values spaced evenly in the logarithm from `lower` to `upper`: (count + 1,)."""
    if count < 1 or not 0 < lower < upper < float("inf"):
        raise ShapeError(f"0 < lower < upper and count at least 1 are needed, got {lower}, {upper}, {count}")
    return np.concatenate([[0.0], np.geomspace(lower, upper, count)])


def uniform_gains(
    hypotheses: Hypotheses, areas: NDArray[np.integer], schedule: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Gain of lambda for each pixel, less the cost of the frame.

    areas    | (S,)      | integer  | pixels of each superpixel
    schedule | (L,)      | floating | lambda of each step, never falling
    returns  | (B, L, S) | int64    | SEED_GAIN at seeds

    Raises:
        ShapeError: the arrays do not fit each other.
    """
    return _gains(hypotheses, areas, schedule, np.zeros_like(hypotheses.frame))


def colour_gains(
    hypotheses: Hypotheses,
    areas: NDArray[np.integer],
    schedule: NDArray[np.floating],
    colours: NDArray[np.floating],
) -> NDArray[np.int64]:
    """Gain of lambda and of likeness to the seed, less the likeness to the frame and the cost of the frame.

    areas    | (S,)      | integer  | pixels of each superpixel
    schedule | (L,)      | floating | lambda of each step, never falling
    colours  | (S, 3)    | floating | mean R, G, B of each superpixel, 0..255
    returns  | (B, L, S) | int64    | SEED_GAIN at seeds

    The likeness of a pixel to a palette is COLOUR_COST * exp(-DECAY * the least L1 distance to one of its colours).

    Raises:
        ShapeError: the arrays do not fit each other, or a row has no colour.
    """
    if colours.shape != (len(areas), 3):
        raise ShapeError(f"colours must be ({len(areas)}, 3), a row for each superpixel, got {colours.shape}")
    # The frame is the same for all seeds: only the distances in it differ.
    of_frame = _likeness(colours, hypotheses.frame.sum(axis=0))
    of_seed = [_likeness(colours, areas * seed) for seed in hypotheses.seeds]
    return _gains(hypotheses, areas, schedule, areas * (np.stack(of_seed) - of_frame))


def _likeness(colours: NDArray[np.floating], weights: NDArray[np.number]) -> NDArray[np.float64]:
    """Cost of each superpixel's pixels on the side opposite to the one that the weights stand for: (S,)."""
    if not weights.any():  # the frame of an image of one pixel
        return np.zeros(len(colours))
    centres = palette(colours, weights, count=COLOURS)
    distance = np.abs(colours[:, None] - centres).sum(axis=2).min(axis=1)  # (S,)
    return np.asarray(COLOUR_COST * np.exp(-DECAY * distance))


def _gains(
    hypotheses: Hypotheses,
    areas: NDArray[np.integer],
    schedule: NDArray[np.floating],
    extra: NDArray[np.floating],
) -> NDArray[np.int64]:
    if hypotheses.seeds.shape != hypotheses.frame.shape or hypotheses.seeds.shape[1:] != areas.shape:
        raise ShapeError(f"hypotheses {hypotheses.seeds.shape} and areas {areas.shape} must be of the same superpixels")
    constant = extra - FRAME_COST * hypotheses.frame  # (B, S)
    gain = np.rint(constant[:, None] + schedule[:, None] * areas).astype(np.int64)  # (B, L, S)
    return np.where(hypotheses.seeds[:, None], SEED_GAIN, gain)
