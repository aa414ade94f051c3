"""Checks of the exercises of page 14, A ranking SVM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from check.compare import close, exercise, require


@exercise
def exercise_14_1(total: float, can_be_learnt: bool) -> None:
    """Check the sum of all expected intersections and unions, and whether a linear ranker learns anything from it."""
    p, q = np.random.default_rng(1).dirichlet(np.ones(21), (2, 169))
    close(total, np.sum(p * q) + np.sum(p + q - p * q), "the sum")
    require(not can_be_learnt, "what is the same for all proposals of an image cancels in a linear ranker")


@exercise
def exercise_14_2(direction: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Check direction(D, c): where w points for small C, with differences D (pairs, features) and weights c."""
    rng = np.random.default_rng(1)
    D, c, C = rng.standard_normal((30, 3)), rng.random(30), 1e-8
    w = np.zeros(3)
    for _ in range(50):  # descent
        w -= 0.5 * (w - 2 * C * (c * np.maximum(0, 1 - D @ w)) @ D)
    yours = np.asarray(direction(D, c), dtype=float)
    close(yours / np.linalg.norm(yours), w / np.linalg.norm(w), "the direction", rtol=1e-4, atol=1e-4)


@exercise
def exercise_14_3(oracle: Sequence[int], every: Sequence[int]) -> None:
    """Check the pairs of accuracies 0.9, 0.5, 0.2 with no copy, with a copy of the best, and with one of the second.

    oracle: three numbers for pairs="oracle"; every: three for pairs="all".
    """
    lists = ([0.9, 0.5, 0.2], [0.9, 0.9, 0.5, 0.2], [0.9, 0.5, 0.5, 0.2])
    close(oracle, [sum(q < max(of) for q in of) for of in lists], 'the numbers for pairs="oracle"')
    pairs = [sum(a != b for a, b in combinations(of, 2)) for of in lists]
    close(every, pairs, 'the numbers for pairs="all"')
