"""Checks of the exercises of page 10, Segments by minimum cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from check.compare import close, exercise, require

PAIRS, WEIGHTS = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)], [6, 2, 3, 4, 8]  # the four patches of section 10.1


def _energies(pairs: Sequence[tuple[int, int]], weights: Sequence[float], gains: np.ndarray) -> dict[str, float]:
    """Return the energy of every set of patches, named by its letters."""
    energies = {}
    for bits in range(2 ** len(gains)):
        x = bits >> np.arange(len(gains)) & 1
        border = sum(w for (i, j), w in zip(pairs, weights, strict=True) if x[i] != x[j])
        energies["".join("ABCD"[i] for i in np.flatnonzero(x))] = float(border - gains @ x)
    return energies


@exercise
def exercise_10_1(patches: str, energy: float, flow: float) -> None:
    """Check the best set at lambda = 5 as letters, its energy, and the maximum flow."""
    gains = np.array([9, 5, 5, -15])
    energies = _energies(PAIRS, WEIGHTS, gains)
    best = min(energies, key=lambda name: energies[name])
    require("".join(sorted(patches)) == best, f"another set than {patches} has less energy")
    close(energy, energies[best], "the energy")
    close(flow, energies[best] + gains[gains > 0].sum(), "the flow")


@exercise
def exercise_10_2(gains: np.ndarray, weight: float) -> None:
    """Check gains of two patches A, B at two steps (2, 2): the best sets must not be nested, for this weight of A-B."""
    gains = np.asarray(gains, dtype=float)
    require(gains.shape == (2, 2) and weight >= 0, "give a row of two gains for each step, and a weight of at least 0")
    best = []
    for step in gains:
        energies = _energies([(0, 1)], [weight], step)
        lowest = min(energies.values())
        best.append([set(name) for name, value in energies.items() if value == lowest])
    nested = any(one <= other or other <= one for one in best[0] for other in best[1])
    require(not nested, f"the best sets are {best[0]} and {best[1]}: one contains the other")


@exercise
def exercise_10_3(bound: Callable[[int, int], int]) -> None:
    """Check bound(S, seed): how many cuts of S superpixels can differ if the seed has `seed` of them."""
    for S, seed in [(4, 1), (10, 3), (400, 6)]:
        sizes = range(seed, S + 1)  # nested cuts that differ have different sizes
        close(bound(S, seed), len(sizes), f"the bound for S = {S} and a seed of {seed}")


@exercise
def exercise_10_4(by_score: Callable[..., Sequence[int]], by_overlap: Callable[..., Sequence[int]]) -> None:
    """Check the order of MMR with the score's weight 1, by_score(scores, overlaps), and 0, by_overlap(...)."""
    rng = np.random.default_rng(1)
    for _ in range(5):
        scores, overlaps = rng.random(6), rng.random((6, 6))
        overlaps = np.maximum(overlaps, overlaps.T)
        np.fill_diagonal(overlaps, 1)
        for order, relevance in ((by_score, 1.0), (by_overlap, 0.0)):
            taken = [int(np.argmax(scores))]
            while len(taken) < 6:
                left = [n for n in range(6) if n not in taken]
                worth = [relevance * scores[n] - (1 - relevance) * max(overlaps[m, n] for m in taken) for n in left]
                taken.append(left[int(np.argmax(worth))])
            close(order(scores, overlaps), taken, f"the order with weight {relevance:g}")
