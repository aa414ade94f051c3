"""Checks of the exercises of page 9, What each loss favours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from check.compare import close, exercise, require


@exercise
def exercise_9_1(better: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Check better(intersection, union, p): whether it pays to claim a pixel that is right with probability p."""
    rng = np.random.default_rng(1)
    union, p = rng.uniform(1, 9, 500), rng.uniform(0, 1, 500)
    intersection = union * rng.uniform(0, 1, 500)
    right = (intersection + p) * union > intersection * (union + 1 - p)
    close(better(intersection, union, p), right, "whether it pays")


@exercise
def exercise_9_2(times: float, norms: Mapping[str, Sequence[float]]) -> None:
    """Check how many times UOI's weight cross-entropy's must be, for norms of the gradients "uoi" and "ce"."""
    require(len(norms["ce"]) > 0, "give the norms of section 9.3")
    close(times, np.median(norms["uoi"]) / np.median(norms["ce"]), "the ratio of the weights", rtol=0.3)


@exercise
def exercise_9_3(line: Callable[[float], float], factor: Callable[[float], float]) -> None:
    """Check line(f), from which probability on a class is claimed with background's divided by f, and factor(J)."""
    q = np.linspace(0, 1, 100_001)
    for f in (1.0, 2.5, 8.0):
        claimed = q > (1 - q) / f
        close(line(f), q[claimed][0], f"the line for f = {f:g}", rtol=0, atol=1e-4)
    for J in (0.1, 0.5, 1.0):
        close(line(factor(J)), J / (1 + J), f"the line with the factor for J = {J:g}")
