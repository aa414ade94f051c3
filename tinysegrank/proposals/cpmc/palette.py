"""A few colours that stand for many: k-means on weighted colours, without chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError


def palette(
    colours: NDArray[np.floating], weights: NDArray[np.number], *, count: int = 5, rounds: int = 10
) -> NDArray[np.float64]:
    """Cluster colours by Lloyd's algorithm, from a start that takes the farthest colour each time.

    colours | (N, 3) | floating | such as the mean R, G, B of superpixels
    weights | (N,)   | number   | at least 0, some above 0: pixels that the colour stands for
    returns | (P, 3) | float64  | centres, at most `count`: as many as there are different colours where these are fewer

    Kept from CPMC: k-means with K = 5 on RGB. Changed: on mean colours of superpixels, not on pixels, and with a fixed
    start in place of a random one.

    Raises:
        ShapeError: the arrays do not fit each other, no weight is above 0, or `count` is below 1.
    """
    if (
        colours.ndim != 2
        or weights.shape != (len(colours),)
        or not (weights > 0).any()
        or weights.min() < 0
        or count < 1
    ):
        raise ShapeError(
            f"colours (N, 3) and weights (N,) of at least 0, one above it, and count >= 1 are needed, got "
            f"{colours.shape}, {weights.shape}, {count}"
        )
    used = weights > 0
    x, w = colours[used].astype(np.float64), weights[used].astype(np.float64)
    centres = x[[np.argmax(w)]]  # (1, 3)
    nearest = np.square(x - centres[0]).sum(axis=1)
    while len(centres) < count and nearest.max() > 0:
        centres = np.concatenate([centres, x[[nearest.argmax()]]])
        nearest = np.minimum(nearest, np.square(x - centres[-1]).sum(axis=1))
    owner = np.full(len(x), -1)
    for _ in range(rounds):
        before, owner = owner, np.square(x[:, None] - centres).sum(axis=2).argmin(axis=1)
        if np.array_equal(before, owner):
            break
        mass = np.bincount(owner, w, len(centres))
        for axis in range(x.shape[1]):
            total = np.bincount(owner, w * x[:, axis], len(centres))
            centres[:, axis] = np.where(mass > 0, total / np.where(mass > 0, mass, 1), centres[:, axis])
    return centres
