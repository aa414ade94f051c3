"""Checks of the exercises of page 5, Intersection over union."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from check.compare import close, exercise, require


@exercise
def exercise_5_1(dice: Callable[[np.ndarray], np.ndarray], example: np.ndarray) -> None:
    """Check Dice as a function of Jaccard, and the Jaccard indices of two classes in two predictions (a row each).

    By the mean Jaccard index one prediction must be better, and by the mean Dice index the other.
    """
    intersection, union = np.array([0.0, 1, 30, 50, 99]), np.array([10.0, 10, 100, 60, 99])
    close(dice(intersection / union), 2 * intersection / (intersection + union), "the Dice index")
    example = np.asarray(example, dtype=float)
    require(example.shape == (2, 2) and (example >= 0).all() and (example <= 1).all(), "give 2 x 2 numbers in 0 to 1")
    jaccard, dices = np.diff(example.mean(axis=1)), np.diff((2 * example / (1 + example)).mean(axis=1))
    require(jaccard * dices < 0, f"the means differ by {jaccard[0]:.3f} and {dices[0]:.3f}; the signs should differ")


@exercise
def exercise_5_2(most: Callable[[float, int], float]) -> None:
    """Check most(u, K), the largest mean IoU of K classes whose mean UOI is u."""
    rng = np.random.default_rng(1)
    for K in (2, 4, 21):
        for u in (1.0, 1.5, 8.0):
            found = float(most(u, K))
            rest = 1 + rng.dirichlet(np.full(K, 0.1), 2000) * K * (u - 1)  # UOIs whose mean is u
            require(found >= (1 / rest).mean(axis=1).max() - 1e-9, f"for {K} classes, a mean UOI of {u:g} allows more")
            close(found, (K - 1 + 1 / (1 + K * (u - 1))) / K, f"the mean IoU for u = {u:g}, K = {K}")


@exercise
def exercise_5_3(best: Callable[[float], float]) -> None:
    """Check best(p), the probability that maximises the gain of one cell with a share p of a class, else another."""
    q = np.linspace(0, 1, 100_001)
    for p in (0.2, 0.5, 0.9):
        gain = sum(a * b / (a + b - a * b) for a, b in ((p, q), (1 - p, 1 - q)))
        close(best(p), q[gain.argmax()], f"the best q for p = {p:g}", rtol=0, atol=1e-4)
