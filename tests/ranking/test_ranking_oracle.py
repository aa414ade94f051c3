"""Picks, the oracle's curve and the pairs, against loops over groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank.errors import ShapeError
from tinysegrank.ranking import oracle_picks, oracle_quality, pick, rank_in_group, ranking_pairs

# few values, so that there are ties; groups in any order, with gaps
rows = st.lists(st.tuples(st.integers(-2, 3), st.sampled_from([0.0, 0.1, 0.1005, 0.5, 0.9])), min_size=1, max_size=25)


def arrays(rows):
    return np.array([value for _, value in rows]), np.array([group for group, _ in rows])


@given(rows)
def test_picks_by_loops(rows):
    quality, groups = arrays(rows)
    expected = [
        max((row for row in range(len(rows)) if groups[row] == group), key=lambda row: (quality[row], -row))
        for group in sorted(set(groups))
    ]
    assert pick(quality, groups).tolist() == expected
    assert oracle_picks(quality, groups).tolist() == expected
    assert oracle_picks(quality, groups, first=len(rows)).tolist() == expected


@given(rows)
def test_curve_by_loops(rows):
    quality, groups = arrays(rows)
    curve = oracle_quality(quality, groups)
    members = [quality[groups == group] for group in sorted(set(groups))]
    assert len(curve) == max(map(len, members))
    for m, value in enumerate(curve, start=1):
        assert value == pytest.approx(np.mean([member[:m].max() for member in members]), rel=1e-12)
        assert value == pytest.approx(quality[oracle_picks(quality, groups, first=m)].mean(), rel=1e-12)
    assert (np.diff(curve) >= 0).all()


@given(rows)
def test_pairs_by_loops(rows):
    quality, groups = arrays(rows)
    everything, oracles = set(), set(pick(quality, groups).tolist())
    for i in range(len(rows)):
        for j in range(len(rows)):
            if groups[i] == groups[j] and quality[i] - quality[j] >= 1e-3:
                everything.add((i, j))
    for kind, expected in (("all", everything), ("oracle", {pair for pair in everything if pair[0] in oracles})):
        better, worse, difference = ranking_pairs(quality, groups, pairs=kind)
        assert len(better) == len(expected)
        assert set(zip(better.tolist(), worse.tolist(), strict=True)) == expected
        np.testing.assert_array_equal(difference, quality[better] - quality[worse])


def test_rank_in_group_of_rows_that_do_not_lie_together():
    assert rank_in_group(np.array([7, 3, 7, 7, 3])).tolist() == [0, 0, 1, 2, 1]


def test_no_rows():
    empty, groups = np.array([]), np.array([], int)
    assert pick(empty, groups).size == oracle_quality(empty, groups).size == 0
    for kind in ("oracle", "all"):
        assert ranking_pairs(empty, groups, pairs=kind).better.size == 0


@pytest.mark.parametrize(
    ("quality", "groups", "message"),
    [
        ([0.1, np.nan], [0, 0], "NaN in 1 rows, the first 1 of group 0"),
        ([0.1, 0.2], [0], "groups"),
        ([[0.1]], [[0]], "one number per row"),
        ([0.1], [0.5], "integer"),
    ],
)
def test_bad_input(quality, groups, message):
    for call in (pick, oracle_picks, oracle_quality, ranking_pairs):
        with pytest.raises(ShapeError, match=message):
            call(np.array(quality), np.array(groups))


def test_bad_options():
    quality, groups = np.array([0.1, 0.2]), np.array([0, 0])
    with pytest.raises(ShapeError, match="first"):
        oracle_picks(quality, groups, first=0)
    with pytest.raises(ShapeError, match="some"):
        ranking_pairs(quality, groups, pairs="some")
    with pytest.raises(ShapeError, match="infinity"):
        ranking_pairs(quality * np.inf, groups)
