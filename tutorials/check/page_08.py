"""Checks of the exercises of page 8, Training SegNet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import entr

from check.compare import close, exercise


@exercise
def exercise_8_1(least: float, constant: float, targets: np.ndarray, weights: np.ndarray) -> None:
    """Check the least cross-entropy of any network and of a constant; targets (N, K, 13, 13), weights (N, 13, 13)."""
    mass = np.einsum("nkrs,nrs->k", targets.astype(float), weights.astype(float))
    of_cells = entr(targets.astype(float)).sum(axis=1)  # (N, 13, 13)
    close(least, np.sum(of_cells * weights) / np.sum(weights), "the least of any network", rtol=1e-3)
    close(constant, entr(mass / mass.sum()).sum(), "the least of a constant", rtol=1e-3)


@exercise
def exercise_8_2(gigabytes: float, edges: Sequence[int]) -> None:
    """Check the disk for 100 pieces of 12,000 photographs, and rows of 52 at which a piece of the targets may begin."""
    close(gigabytes, 256 * 13 * 13 * 2 * 100 * 12_000 / 1e9, "the gigabytes", rtol=0.01)
    close(sorted(edges), np.arange(0, 52, 4), "the rows")


@exercise
def exercise_8_3(farthest: Callable[[float, float], float], steps: int) -> None:
    """Check farthest(rate, momentum), the longest step with gradients of norm 5, and the steps to nine tenths of it."""
    for rate, momentum in [(0.001, 0.9), (0.02, 0.5)]:
        velocity = 0.0
        for _ in range(500):
            velocity = momentum * velocity + rate * 5
        close(farthest(rate, momentum), velocity, f"the longest step for rate {rate}, momentum {momentum}")
    velocities = np.cumsum(0.9 ** np.arange(50)) / 10
    close(steps, np.argmax(velocities >= 0.9) + 1, "the steps to nine tenths with momentum 0.9")
