"""The paper's claims as data, and their verdicts: a finding agrees, differs, or is too close to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.evidence.measures import per_cent, summed
from tinysegrank.experiment.runner import Run
from tinysegrank.metrics import paired_difference

AGREES, DIFFERS, UNCLEAR, APART = "agrees", "differs", "too close to tell", "not compared"
VERDICTS = (AGREES, DIFFERS, UNCLEAR, APART)
SEEDS_RULE = (
    "An ordering counts if its mean over the seeds is beyond chance, by Student's t at 5 per cent; of one seed alone, "
    "or where every seed comes to the same, if it is by 2 points or more."
)
_ENOUGH = 2.0  # points; below, one training is no evidence


class Claim(NamedTuple):
    """A claim of the paper, what this run shows, and how the two compare.

    The verdict is AGREES, DIFFERS, UNCLEAR (the run cannot tell), or APART (the paper gives no comparable figure). The
    verdict on a gain is about its sign, not about its size.
    """

    paper: str
    here: str
    verdict: str


class Ordering(NamedTuple):
    """A sentence of the paper that one method is better than another, or that the two are about the `same`."""

    paper: str
    better: str
    worse: str
    same: bool = False


class Statement(NamedTuple):
    """Any other sentence of the paper."""

    paper: str
    here: str  # what a run shows, as a format string of measurements
    rule: Callable[..., str]  # gives the verdict from some of the measurements
    judged_by: tuple[str, ...] = ()  # the names of these


Compare = Callable[[Ordering, Mapping[str, Any]], tuple[str, str]]


def check_claims(
    statements: Iterable[Ordering | Statement], measured: Mapping[str, Any], compare: Compare | None = None
) -> tuple[Claim, ...]:
    """Compare sentences of the paper with what was measured.

    Args:
        statements: the sentences; an ordering is left out if one of its methods was not measured.
        measured: the measurements, by the names that the statements use.
        compare: describes in words how two methods compare, and gives the verdict; needed for orderings.
    """
    found = []
    for one in statements:
        if isinstance(one, Statement):
            verdict_ = one.rule(*(measured[name] for name in one.judged_by))
            found.append(Claim(one.paper, one.here.format(**measured), verdict_))
        elif compare is not None and {one.better, one.worse} <= measured.keys():
            found.append(Claim(one.paper, *compare(one, measured)))
    return tuple(found)


def over_images(run: Run, shown: Mapping[str, str] | None = None) -> Compare:
    """Return a function that compares two methods by their confusions (N, K, K) on val, with a bootstrap interval.

    `shown` maps some of the methods to the names to print.
    """

    def compare(ordering: Ordering, confusions: Mapping[str, np.ndarray]) -> tuple[str, str]:
        names = (ordering.better, ordering.worse)
        better, worse = ((shown or {}).get(name, name) for name in names)
        high, low = (per_cent(run, summed(confusions[name])) for name in names)
        of_images, classes = [confusions[name] for name in names], run.settings.report.classes or None
        found = paired_difference(*of_images, rng=np.random.default_rng([0, 17]), classes=classes)
        gap, least, most = (100 * value for value in found)
        here = f"{better} {high:.1f}, {worse} {low:.1f}: {gap:+.1f} points; on val sets drawn anew from these images "
        here += f"{least:+.1f} to {most:+.1f} (95 %)."
        return here, verdict_of_sameness(least, most) if ordering.same else verdict(found.value, clear=found.clear)

    return compare


def over_seeds(ordering: Ordering, values: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """Compare two methods by their values for each seed, in per cent; return the words and the verdict."""
    better, worse = values[ordering.better], values[ordering.worse]
    means = f"{ordering.better} {mean_in_words(better)}, {ordering.worse} {mean_in_words(worse)}"
    gaps = better - worse
    return f"{means}: {gain_in_words(gaps)}.", (verdict_of_same_seeds if ordering.same else verdict_of_seeds)(gaps)


def not_compared() -> str:
    """Return the verdict on a sentence that the run's results cannot be compared with."""
    return APART


def verdict_of_fact(holds: bool) -> str:
    """Return the verdict on a sentence that either holds or does not."""
    return AGREES if holds else DIFFERS


def verdict_of_order(smaller: float, larger: float) -> str:
    """Return the verdict on a sentence that one number is smaller in size than another."""
    return verdict_of_fact(abs(smaller) < abs(larger))


def verdict(gap: float, *, clear: bool = True) -> str:
    """Return the verdict on a claimed gain; `clear` says whether the sign of the gap is statistically significant."""
    if not clear or gap == 0 or np.isnan(gap):
        return UNCLEAR
    return AGREES if gap > 0 else DIFFERS


def verdict_of_seeds(gaps: np.ndarray) -> str:
    """Return the verdict on a claimed gain from the gaps, in points, of several seeds, by `SEEDS_RULE`."""
    if len(gaps) == 1 or np.ptp(gaps) == 0:  # one seed, or a gap that does not depend on it
        return verdict(float(gaps[0]), clear=abs(gaps[0]) >= _ENOUGH)
    return verdict(float(gaps.mean()), clear=abs(gaps.mean()) > _margin(gaps))


def verdict_of_same_seeds(gaps: np.ndarray) -> str:
    """Return `verdict_of_sameness` for the gaps of several seeds; unclear for one seed or equal gaps."""
    if np.isnan(gaps).any() or np.ptp(gaps) == 0:
        return UNCLEAR
    margin = _margin(gaps)
    return verdict_of_sameness(float(gaps.mean() - margin), float(gaps.mean() + margin))


def _margin(gaps: np.ndarray) -> float:
    """Return half the length of the 95 % interval of the mean, by Student's t."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps)))


def verdict_of_gains(gains: np.ndarray) -> str:
    """Return the verdict on a claimed gain: clear if the images' mean gain exceeds twice its standard error."""
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.inf
    return verdict(float(gains.mean()), clear=abs(gains.mean()) > 2 * error)


def verdict_of_sameness(low: float, high: float) -> str:
    """Return the verdict on a claim of sameness from the 95 % interval, in points, of the difference found."""
    if low >= -_ENOUGH and high <= _ENOUGH:
        return AGREES
    return DIFFERS if low > 0 or high < 0 else UNCLEAR


def verdict_of_counts(better: int, worse: int) -> str:
    """Return the verdict on a claimed gain by a sign test at 5 %, given the numbers of cases better and worse."""
    from scipy.stats import binomtest

    if better + worse == 0:
        return UNCLEAR
    return verdict(better - worse, clear=binomtest(better, better + worse).pvalue < 0.05)


def gain_in_words(gaps: np.ndarray) -> str:
    """Describe the gaps of several seeds: their mean in points, and the gap of each."""
    if np.isnan(gaps).any():
        return "not known, because a training diverged"
    each = f" ({', '.join(f'{gap:+.1f}' for gap in gaps)} by seed)" if len(gaps) > 1 else ""
    return f"{gaps.mean():+.1f} points{each}"


def mean_in_words(values: np.ndarray, form: str = ".1f") -> str:
    """Describe the mean over several seeds."""
    return "not known" if np.isnan(values).any() else format(values.mean(), form)
