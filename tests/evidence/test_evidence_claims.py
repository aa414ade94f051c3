"""When a finding agrees with a claim, differs from it, or cannot tell; and which blocks the ablation puts together."""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.evidence.ablation import block_names, block_subsets
from tinysegrank.evidence.claims import (
    Ordering,
    Statement,
    check_claims,
    gain_in_words,
    mean_in_words,
    verdict,
    verdict_of_counts,
    verdict_of_gains,
    verdict_of_seeds,
)
from tinysegrank.metrics import Difference
from tinysegrank.reporting import Claim

AGREES, DIFFERS, UNCLEAR = "agrees", "differs", "too close to tell"


@pytest.mark.parametrize(
    ("gap", "of_gain", "of_sameness"),
    [
        ((1.0, 0.2, 1.5), AGREES, AGREES),  # another, but by little
        ((-1.0, -1.5, -0.2), DIFFERS, AGREES),
        ((0.5, -1.0, 1.5), UNCLEAR, AGREES),
        ((-1.0, -3.0, 1.0), UNCLEAR, UNCLEAR),
        ((3.0, 0.5, 6.0), AGREES, DIFFERS),
        ((-4.0, -6.0, -2.5), DIFFERS, DIFFERS),
        ((0.0, 0.0, 0.0), UNCLEAR, AGREES),
        ((np.nan, np.nan, np.nan), UNCLEAR, UNCLEAR),
    ],
)
def test_verdict_of_an_interval(gap, of_gain, of_sameness):
    assert verdict(Difference(*gap)) == of_gain
    assert verdict(Difference(*gap), same=True) == of_sameness


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([1.9], UNCLEAR),  # one seed is not enough for so little
        ([1.9, 1.9, 1.9], UNCLEAR),  # nor are three that do not matter
        ([-2.1, -2.1], DIFFERS),
        ([np.nan], UNCLEAR),  # its training diverged
        ([2.0], AGREES),
        ([-3.0], DIFFERS),
        ([1.0, 1.1], AGREES),
        ([1.0, 1.2], UNCLEAR),  # 11 times its error, where one degree of freedom asks for 12.7
        ([0.8, 0.4, 1.9], UNCLEAR),  # 2.3 times, where two ask for 4.3
        ([-1.0, -1.2, -0.9], DIFFERS),
        ([1.0, -1.0], UNCLEAR),
        ([0.1, 0.8], UNCLEAR),
        ([0.0, 0.0], UNCLEAR),
        ([1.0, np.nan], UNCLEAR),
    ],
    ids=str,
)
def test_verdict_of_seeds(gaps, expected):
    assert verdict_of_seeds(np.array(gaps)) == expected


@pytest.mark.parametrize(
    ("better", "worse", "expected"),
    [
        (19, 2, AGREES),
        (2, 19, DIFFERS),
        (6, 5, UNCLEAR),
        (0, 0, UNCLEAR),
        (5, 0, UNCLEAR),  # 2 / 2^5 is above 5 %
        (6, 0, AGREES),  # 2 / 2^6 is below
    ],
)
def test_verdict_of_counts(better, worse, expected):
    assert verdict_of_counts(better, worse) == expected


def test_verdict_of_gains():
    gains = np.array([1.0, 2.0, 3.0, 2.0])
    assert [verdict_of_gains(sign * gains) for sign in (1, -1)] == [AGREES, DIFFERS]
    assert verdict_of_gains(np.array([1.0, -2.0, 3.0])) == verdict_of_gains(np.array([5.0])) == UNCLEAR


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([0.0], UNCLEAR),  # one seed alone
        ([0.0, 0.0], UNCLEAR),
        ([0.1, -0.2, 0.3], AGREES),
        ([2.9, 3.0, 3.1], DIFFERS),
        ([2.9, -3.0, 0.5], UNCLEAR),
        ([0.1, np.nan, 0.1], UNCLEAR),
    ],
)
def test_verdict_of_same_seeds(gaps, expected):
    assert verdict_of_seeds(np.array(gaps), same=True) == expected


def test_gaps_in_words():
    assert gain_in_words(np.array([1.0, 2.0])) == "+1.5 points (+1.0, +2.0 by seed)"
    assert "diverged" in gain_in_words(np.array([1.0, np.nan]))
    assert (mean_in_words(np.array([1.0, 2.0])), mean_in_words(np.array([np.nan, 2.0]))) == ("1.5", "not known")
    assert gain_in_words(np.array([0.51])) == "+0.5 points"


def test_subsets_of_the_blocks_that_are_there():
    assert block_subsets(("segnet",)) == [("segnet",)]
    subsets = block_subsets(("segnet", "classification", "rerank", "classification_ungated"))
    assert subsets[:7] == [
        ("segnet",),
        ("classification",),
        ("rerank",),
        ("segnet", "classification"),
        ("segnet", "rerank"),
        ("classification", "rerank"),
        ("segnet", "classification", "rerank"),
    ]
    assert subsets[7:] == [("classification_ungated",), ("segnet", "classification_ungated", "rerank")]
    assert block_subsets(("mine", "rerank")) == [("rerank",), ("mine",)]
    assert [block_names(blocks) for blocks in (("segnet",), ("segnet", "rerank"), ("mine",))] == [
        "(1) SegNet",
        "(1) + (3)",
        "mine",
    ]


def test_claims_of_what_was_measured():
    statements = (
        Ordering("A is better than B", "A", "B"),
        Statement(
            "there are few", "there are {count:.1f}", lambda count: "agrees" if count < 3 else "differs", ("count",)
        ),
        Ordering("B is like A", "B", "A", same=True, opening="at the end "),
        Statement("others have more", "{count} is not theirs"),
        Ordering("C is better than A", "C", "A"),  # C was not measured
    )
    measured = {"A": np.array([3.0, 3.5]), "B": np.array([1.0, 1.5]), "count": 2}
    assert check_claims(statements, measured) == (
        Claim("A is better than B", "A 3.2, B 1.2: +2.0 points (+2.0, +2.0 by seed).", "agrees"),
        Claim("there are few", "there are 2.0", "agrees"),
        Claim("B is like A", "at the end B 1.2, A 3.2: -2.0 points (-2.0, -2.0 by seed).", "too close to tell"),
        Claim("others have more", "2 is not theirs", "not compared"),
    )


def test_methods_are_compared_over_images_on_the_classes_counted():
    right, wrong = np.array([[[4, 0], [0, 4]]] * 5), np.array([[[4, 0], [4, 0]]] * 5)  # IoU 1, 1 and 1/2, 0
    ordering, measured = Ordering("A is better", "A", "B"), {"A": right, "B": wrong}
    for classes, low in (((), 25.0), ((0,), 50.0), ((1,), 0.0)):
        gap = 100 - low
        here = f"A 100.0, B {low:.1f}: +{gap:.1f} points; on val sets drawn anew from these images "
        here += f"+{gap:.1f} to +{gap:.1f} (95 %)."
        assert check_claims([ordering], measured, classes) == (Claim("A is better", here, AGREES),)
    (claim,) = check_claims([Ordering("B is better", "B", "A"), ordering._replace(worse="C")], measured)
    assert claim.verdict == DIFFERS
