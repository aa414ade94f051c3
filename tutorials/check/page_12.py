"""Checks of the exercises of page 12, The graphical model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from check.compare import close, exercise, require

Problem = tuple[np.ndarray, Sequence[tuple[int, int]], np.ndarray]


def _energy(labels: Sequence[int], unary: np.ndarray, edges: Sequence[tuple[int, int]], weights: np.ndarray) -> float:
    border = sum(w for (a, b), w in zip(edges, weights, strict=True) if labels[a] != labels[b])
    return float(sum(costs[k] for costs, k in zip(unary, labels, strict=True)) + border)


@exercise
def exercise_12_1(enough: Callable[[np.ndarray], float]) -> None:
    """Check enough(unary), a weight of each edge that makes one label everywhere the best; costs unary (N, K)."""
    rng = np.random.default_rng(1)
    for scale in (0.1, 1.0, 100.0):
        unary, edges = scale * rng.standard_normal((5, 3)), [(0, 1), (1, 2), (2, 3), (3, 4)]
        weight = float(enough(unary))
        require(0 <= weight < np.inf, "the weight should be a number, at least 0")
        weights = np.full(4, weight)
        best = min(product(range(3), repeat=5), key=lambda y: _energy(y, unary, edges, weights))
        require(len(set(best)) == 1, f"a weight of {weight:.3g} leaves {list(best)} the best, for some costs")


@exercise
def exercise_12_2(gain: float, border: float, gain_beside_alpha: float) -> None:
    """Check what an edge of weight 4 becomes in an expansion of 0: labels 1 and 2, and labels 0 and 2."""
    energies = [[4.0 * (a != b) for b in (2, 0)] for a in (1, 0)]  # the first stays or moves, and the second
    for one, other in product((0, 1), repeat=2):
        cut = 4 - gain * (one + other) + border * (one != other)
        close(cut, energies[one][other], "the energy by your gain and border")
    close(gain_beside_alpha, 4.0 * (2 != 0) - 4.0 * (0 != 0), "the gain beside alpha")


@exercise
def exercise_12_3(labellings: Sequence[Sequence[int]]) -> None:
    """Check the first three labellings of DivMBest for two nodes."""
    unary, found = np.array([[0.0, 1], [3, 0]]), []
    for _ in range(3):
        found.append(min(product((0, 1), repeat=2), key=lambda y: _energy(y, unary, [(0, 1)], np.array([2.0]))))
        unary[[0, 1], found[-1]] += 2
    require(np.shape(labellings) == (3, 2), "give three pairs")
    for number, (yours, right) in enumerate(zip(labellings, found, strict=True)):
        require(
            tuple(yours) == right, f"labelling {number + 1}: yours is {tuple(yours)}; find the energy of the others"
        )
