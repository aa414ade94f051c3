"""How a claimed gain stands to what was found: it agrees, it differs, or it is too close to tell."""

from __future__ import annotations

import numpy as np

from tinysegrank.evidence.pieces import AGREES, DIFFERS, UNCLEAR

_ENOUGH = 2.0  # points; below, one training is no evidence
SEEDS_RULE = (
    "An ordering counts if its mean over the seeds is beyond chance, by Student's t at 5 per cent; of one seed alone, "
    "or where every seed comes to the same, if it is by 2 points or more."
)


def verdict(gap: float, *, clear: bool = True) -> str:
    """How a claimed gain stands to the gain found: `clear` says whether its sign is beyond chance."""
    if not clear or gap == 0 or np.isnan(gap):
        return UNCLEAR
    return AGREES if gap > 0 else DIFFERS


def verdict_of_seeds(gaps: np.ndarray) -> str:
    """`verdict` by the gaps, in points, of several seeds, as `SEEDS_RULE` says."""
    if len(gaps) == 1 or np.ptp(gaps) == 0:  # one seed, or a gap that does not depend on it
        return verdict(float(gaps[0]), clear=abs(gaps[0]) >= _ENOUGH)
    return verdict(float(gaps.mean()), clear=abs(gaps.mean()) > _margin(gaps))


def verdict_of_same_seeds(gaps: np.ndarray) -> str:
    """`verdict_of_sameness` by the gaps, in points, of several seeds; one alone, or the same in all, tells nothing."""
    if np.isnan(gaps).any() or np.ptp(gaps) == 0:
        return UNCLEAR
    margin = _margin(gaps)
    return verdict_of_sameness(float(gaps.mean() - margin), float(gaps.mean() + margin))


def _margin(gaps: np.ndarray) -> float:
    """Half the length of the interval of the mean of several gaps: Student's t, 95 %."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps)))


def verdict_of_gains(gains: np.ndarray) -> str:
    """`verdict` by the gains of single images: their mean must be beyond twice its standard error."""
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.inf
    return verdict(float(gains.mean()), clear=abs(gains.mean()) > 2 * error)


def verdict_of_sameness(low: float, high: float) -> str:
    """How a claim that two are about the same stands to the interval, in points, of the difference found."""
    if low >= -_ENOUGH and high <= _ENOUGH:
        return AGREES
    return DIFFERS if low > 0 or high < 0 else UNCLEAR


def verdict_of_counts(better: int, worse: int) -> str:
    """`verdict` by how often it was better and worse: the sign test at 5 %, ties left out."""
    from scipy.stats import binomtest

    if better + worse == 0:
        return UNCLEAR
    return verdict(better - worse, clear=binomtest(better, better + worse).pvalue < 0.05)


def gain_in_words(gaps: np.ndarray) -> str:
    """The mean of the gaps of several seeds, in points, and the single ones."""
    if np.isnan(gaps).any():
        return "not known, because a training diverged"
    return f"{gaps.mean():+.1f} points{by_seed(gaps)}"


def mean_in_words(values: np.ndarray, form: str = ".1f") -> str:
    """The mean over several seeds."""
    return "not known" if np.isnan(values).any() else format(values.mean(), form)


def by_seed(gaps: np.ndarray) -> str:
    """The gaps of single seeds in words, where there are several."""
    return f" ({', '.join(f'{gap:+.1f}' for gap in gaps)} by seed)" if len(gaps) > 1 else ""


def seeds_note(seeds: tuple[int, ...]) -> str:
    """What the figures of trainings are means of."""
    return f"Seed {seeds[0]} alone." if len(seeds) == 1 else f"Means of the seeds {', '.join(map(str, seeds))}."
