"""Checks of the exercises of page 13, Picking a proposal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import rel_entr

from check.compare import close, exercise, require


@exercise
def exercise_13_1(both: Callable[[np.ndarray, np.ndarray, float], float]) -> None:
    """Check both(a, b, eps), the sum of both divergences for eps close to 1, with p = 1/K + (1 - eps) a, likewise q."""
    rng = np.random.default_rng(1)
    for K in (3, 21):
        a, b = (x - 1 / K for x in rng.dirichlet(np.ones(K), 2))
        p, q = 1 / K + 1e-4 * a, 1 / K + 1e-4 * b
        right = np.sum(rel_entr(p, q) + rel_entr(q, p))
        close(both(a, b, 1 - 1e-4), right, f"the sum for {K} classes", rtol=1e-2, atol=0)


@exercise
def exercise_13_2(all_cow: float, half: float) -> None:
    """Check S of two proposals for a map of 0.8 cow and 0.2 background: all cow, and half cow, half background."""
    q = 0.999 * np.array([0.2, 0.8] + [0.0] * 19) + 0.001 / 21
    for yours, shares, name in ((all_cow, (0.0, 1.0), "all cow"), (half, (0.5, 0.5), "half cow")):
        p = 0.999 * np.array([*shares] + [0.0] * 19) + 0.001 / 21
        close(yours, 169 * (np.sum((p - q) * np.log(p / q)) + 0.02 * shares[0]), f"S of {name}", rtol=5e-3)


@exercise
def exercise_13_3(counts: np.ndarray) -> None:
    """Check counts (image, proposal, class, intersection or union): another choice than the oracle's is better."""
    counts = np.asarray(counts, dtype=float)
    require(counts.shape == (2, 2, 2, 2), f"give an array (2, 2, 2, 2), not {counts.shape}")
    intersection, union = counts[..., 0], counts[..., 1]
    require((intersection >= 0) & (intersection <= union) & (union > 0), "0 <= intersection <= union, and union > 0")
    of_images = (intersection / union).mean(axis=2)  # (image, proposal)
    require(of_images[:, 0] > of_images[:, 1], "by image IoU, the first proposal of each image should be better")

    def corpus(first: int, second: int) -> float:
        total = counts[0, first] + counts[1, second]  # (class, intersection or union)
        return float((total[:, 0] / total[:, 1]).mean())

    others = max(corpus(0, 1), corpus(1, 0), corpus(1, 1))
    require(others > corpus(0, 0), f"the oracle's picks have {corpus(0, 0):.3f}, and no others more than {others:.3f}")
