"""The paper's claims as data, and the verdicts on them: a run agrees, differs, or is too close to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.metrics import Confusion, Difference, paired_difference
from tinysegrank.reporting import Claim

VERDICTS = AGREES, DIFFERS, UNCLEAR, APART = ("agrees", "differs", "too close to tell", "not compared")
"""Of a gain only the sign counts. UNCLEAR: the run cannot tell; APART: the paper gives no comparable figure."""
SEEDS_RULE = (
    "An ordering counts if its mean over the seeds is beyond chance, by Student's t at 5 per cent; of one seed alone, "
    "or where every seed comes to the same, if it is by 2 points or more."
)
_ENOUGH = 2.0  # points; below, one training is no evidence


class Ordering(NamedTuple):
    """A sentence of the paper that one method is better than another, or with `same`, about as good."""

    paper: str  # the sentence
    better: str  # name of the method said to be better
    worse: str
    same: bool = False
    opening: str = ""  # begins the sentence about the run


class Statement(NamedTuple):
    """A sentence of the paper that does not just compare two methods."""

    paper: str  # the sentence
    here: str  # what a run shows, as a format string of measurements
    rule: Callable[..., str] | None = None  # returns the verdict, given some of the measurements; None: APART
    judged_by: tuple[str, ...] = ()  # names of the measurements that `rule` is given


Statements = Sequence[Ordering | Statement]


def check_claims(statements: Statements, measured: Mapping[str, Any], classes: Sequence[int] = ()) -> tuple[Claim, ...]:
    """Compare sentences of the paper with what was measured; return each with what the run shows and a verdict.

    Args:
        statements: the sentences; an ordering is left out if one of its methods was not measured.
        measured: measurements by name. Those of an ordering's methods are confusion matrices (N, K, K), one per image
            of val, or values in per cent (seeds,), one per seed.
        classes: classes whose mean IoU is compared; by default all in the truth.
    """
    found = []
    for one in statements:
        if isinstance(one, Statement):
            verdict_ = one.rule(*(measured[name] for name in one.judged_by)) if one.rule else APART
            found.append(Claim(one.paper, one.here.format(**measured), verdict_))
        elif {one.better, one.worse} <= measured.keys():
            found.append(_compare(one, measured[one.better], measured[one.worse], classes))
    return tuple(found)


def _compare(ordering: Ordering, better: np.ndarray, worse: np.ndarray, classes: Sequence[int]) -> Claim:
    """Compare two methods by their values (seeds,), or by their confusion matrices (N, K, K) and the bootstrap."""
    paper, *names, same, opening = ordering
    if better.ndim == 1:
        means, gaps = [mean_in_words(better), mean_in_words(worse)], better - worse
        rest, found = f"{gain_in_words(gaps)}.", verdict_of_seeds(gaps, same=same)
    else:
        means = [f"{100 * Confusion.of(of).mean_iou(classes=classes or None).value:.1f}" for of in (better, worse)]
        shares = paired_difference(better, worse, rng=np.random.default_rng([0, 17]), classes=classes or None)
        gap = Difference(*(100 * value for value in shares))
        rest = f"{gap.value:+.1f} points; on val sets drawn anew from these images {gap.low:+.1f} to {gap.high:+.1f} "
        rest, found = f"{rest}(95 %).", verdict(gap, same=same)
    return Claim(paper, f"{opening}{names[0]} {means[0]}, {names[1]} {means[1]}: {rest}", found)


def verdict(gap: Difference, *, same: bool = False) -> str:
    """Return the verdict on a claimed gain, given the gap found, in points, with its 95 % interval.

    A gap is clear if 0 is outside the interval. With `same`, the claim is equality, and agrees if the interval is
    within 2 points of 0.
    """
    if same and gap.low >= -_ENOUGH and gap.high <= _ENOUGH:
        return AGREES
    if not gap.clear or gap.value == 0:
        return UNCLEAR
    return verdict_of_fact(gap.value > 0 and not same)


def verdict_of_fact(holds: bool) -> str:
    """Return AGREES if a sentence holds, else DIFFERS."""
    return AGREES if holds else DIFFERS


def verdict_of_seeds(gaps: np.ndarray, *, same: bool = False) -> str:
    """Return the verdict on a claimed gain, or with `same`, equality, by the gain of each seed in points.

    The rule is `SEEDS_RULE`. From one seed alone, or if all seeds have the same gain, equality is UNCLEAR.
    """
    from scipy.stats import t

    if len(gaps) > 1 and np.ptp(gaps) != 0:
        return verdict_of_gains(gaps, errors=t.ppf(0.975, len(gaps) - 1), same=same)
    margin = np.inf if same else np.nextafter(_ENOUGH, 0)  # so that 2 points are enough
    return verdict(Difference(gaps[0], gaps[0] - margin, gaps[0] + margin), same=same)


def verdict_of_gains(gains: np.ndarray, *, errors: float = 2.0, same: bool = False) -> str:
    """Return the verdict on a claimed gain, or with `same`, equality, by the mean of several gains.

    The mean's interval extends by `errors` standard errors to each side. Fewer than 2 gains are UNCLEAR.
    """
    if len(gains) < 2:
        return UNCLEAR
    mean, margin = float(gains.mean()), errors * gains.std(ddof=1) / np.sqrt(len(gains))
    return verdict(Difference(mean, mean - margin, mean + margin), same=same)


def verdict_of_counts(better: int, worse: int) -> str:
    """Return the verdict on a claimed gain by a sign test at 5 %, given the numbers of cases better and worse."""
    from scipy.stats import binomtest

    if better + worse == 0 or binomtest(better, better + worse).pvalue >= 0.05:
        return UNCLEAR
    return verdict_of_fact(better > worse)


def gain_in_words(gaps: np.ndarray) -> str:
    """Return as text the mean of the seeds' gaps, in points, and each gap; "not known..." if one is NaN."""
    if np.isnan(gaps).any():
        return "not known, because a training diverged"
    each = f" ({', '.join(f'{gap:+.1f}' for gap in gaps)} by seed)" if len(gaps) > 1 else ""
    return f"{gaps.mean():+.1f} points{each}"


def mean_in_words(values: np.ndarray, form: str = ".1f") -> str:
    """Return the mean over seeds as text in the format `form`, or "not known" if a value is NaN."""
    return "not known" if np.isnan(values).any() else format(values.mean(), form)
