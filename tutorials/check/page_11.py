"""Checks of the exercises of page 11, Naming segments, and many answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import logm

from check.compare import close, exercise


@exercise
def exercise_11_1(numbers: int) -> None:
    """Check how many numbers describe a segment."""
    triangles = [len(np.triu_indices(size)[0]) for size in (128 + 9 + 6, 128 + 9 + 6, 58 + 9 + 6)]
    close(numbers, sum(triangles), "the numbers")


@exercise
def exercise_11_2(lam: float) -> None:
    """Check the lambda from which on the second solution differs from the first."""
    gains = np.array([0.30, 0.21, 0.13, 0.03])
    for trial in np.arange(0.0005, 0.2, 0.001):
        penalised = gains + np.where(np.arange(4) < 3, -trial, trial)
        if set(np.argsort(-penalised)[:3]) != {0, 1, 2}:
            break
    close(lam, trial, "lambda", rtol=0.02)


@exercise
def exercise_11_3(distance: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """Check distance(G, H) of two matrices by their logarithms: it must be that of their inverses."""
    rng = np.random.default_rng(1)
    for size in (2, 4):
        G, H = (x.T @ x / 20 for x in rng.standard_normal((2, 20, size)))
        close(distance(G, H), np.sqrt(np.sum((logm(G) - logm(H)) ** 2)), "the distance")
        close(distance(np.linalg.inv(G), np.linalg.inv(H)), distance(G, H), "the distance of the inverses")


@exercise
def exercise_11_4(divmbest: int, perturbed: int) -> None:
    """Check how many different labellings DivMBest finds at lambda = 0, and perturb-and-MAP at scale 0."""
    for yours, name in ((divmbest, "DivMBest"), (perturbed, "perturb-and-MAP")):
        found = {tuple(np.argmax([[0.1, 0.9], [0.8, 0.2]], axis=1)) for _ in range(5)}  # the same problem each time
        close(yours, len(found), f"the labellings of {name}")


@exercise
def exercise_11_5(left: Callable[[np.ndarray, float], np.ndarray]) -> None:
    """Check left(costs, lam): the nodes, true or false, that the second solution of a CRF without pairs changes."""
    costs = np.random.default_rng(1).uniform(0, 1, (40, 4))
    for lam in (0.05, 0.2):
        first = costs.argmin(axis=1)
        raised = costs.copy()
        raised[np.arange(40), first] += lam
        close(left(costs, lam), raised.argmin(axis=1) != first, f"the nodes that change for lambda = {lam}")
