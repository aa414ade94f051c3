"""How a claimed gain stands to what was found: it agrees, it differs, or it is too close to tell."""

from __future__ import annotations

import numpy as np

from tinysegrank.experiment.evidence.pieces import AGREES, DIFFERS, UNCLEAR

_ENOUGH = 2.0  # points; below, one training is no evidence
SEEDS_RULE = (
    "An ordering counts if all seeds agree on it and their mean is beyond twice its standard error; of one seed alone, "
    "if it is by 2 points or more."
)


def verdict(gap: float, *, clear: bool = True) -> str:
    """How a claimed gain stands to the gain found: `clear` says whether its sign is beyond chance."""
    if not clear or gap == 0 or np.isnan(gap):
        return UNCLEAR
    return AGREES if gap > 0 else DIFFERS


def verdict_of_seeds(gaps: np.ndarray) -> str:
    """`verdict` by the gaps, in points, of several seeds, as `SEEDS_RULE` says."""
    if len(gaps) == 1:
        return verdict(float(gaps[0]), clear=abs(gaps[0]) >= _ENOUGH)
    error = gaps.std(ddof=1) / np.sqrt(len(gaps))
    agreed = bool((np.sign(gaps) == np.sign(gaps[0])).all())
    return verdict(float(gaps.mean()), clear=agreed and abs(gaps.mean()) > 2 * error)


def verdict_of_gains(gains: np.ndarray) -> str:
    """`verdict` by the gains of single images: their mean must be beyond twice its standard error."""
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.inf
    return verdict(float(gains.mean()), clear=abs(gains.mean()) > 2 * error)


def verdict_of_counts(better: int, worse: int) -> str:
    """`verdict` by how often it was better and worse: the sign test at 5 %, ties left out."""
    from scipy.stats import binomtest

    if better + worse == 0:
        return UNCLEAR
    return verdict(better - worse, clear=binomtest(better, better + worse).pvalue < 0.05)


def by_seed(gaps: np.ndarray) -> str:
    """The gaps of single seeds in words, where there are several."""
    return f" ({', '.join(f'{gap:+.1f}' for gap in gaps)} by seed)" if len(gaps) > 1 else ""


def seeds_note(seeds: tuple[int, ...]) -> str:
    """What the figures of trainings are means of."""
    return f"Seed {seeds[0]} alone." if len(seeds) == 1 else f"Means of the seeds {', '.join(map(str, seeds))}."
