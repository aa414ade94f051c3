"""Maximal marginal relevance: an order in which good segments come first that differ from those before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ConfigError, ShapeError


def diverse_order(
    scores: NDArray[np.floating], overlaps: NDArray[np.floating], *, count: int = 150, relevance: float = 0.75
) -> NDArray[np.intp]:
    """Choose one after the other the largest relevance * score - (1 - relevance) * overlap with any chosen before.

    scores   | (R,)   | floating | larger is better
    overlaps | (R, R) | floating | intersection over union of each two
    returns  | (K,)   | intp     | at most `count` indices, the best first; of equally good ones the first

    The first is the one with the largest score.

    Raises:
        ShapeError: the arrays do not fit each other.
        ConfigError: `count` is below 0, or `relevance` is outside 0..1.

    Source: Carbonell and Goldstein, "The use of MMR", SIGIR 1998, as CPMC uses it; kept as it is there.
    """
    if overlaps.shape != (len(scores), len(scores)):
        raise ShapeError(f"overlaps {overlaps.shape} must be square, a row for each of {len(scores)} scores")
    if count < 0 or not 0 <= relevance <= 1:
        raise ConfigError(f"count must be at least 0 and relevance in 0..1, got {count} and {relevance}")
    value = relevance * scores.astype(np.float64)
    nearest = np.zeros(len(scores))
    free = np.ones(len(scores), np.bool_)
    chosen: list[int] = []
    while len(chosen) < min(count, len(scores)):
        worth = value - (1 - relevance) * nearest if chosen else scores.astype(np.float64)
        best = int(np.where(free, worth, -np.inf).argmax())
        chosen.append(best)
        free[best] = False
        nearest = np.maximum(nearest, overlaps[best])
    return np.array(chosen, np.intp)
