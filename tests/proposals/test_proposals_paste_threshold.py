"""The background threshold: the release's search step by step, and the choice by accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.metrics import image_iou
from tinysegrank.proposals import PasteEngine, Segments, choose, choose_threshold, fit_threshold, threshold_trial


def engine(scores, **options):
    count = len(scores)
    segments = Segments(np.arange(max(count, 1))[None], np.eye(count, max(count, 1), dtype=bool), np.zeros(count))
    return PasteEngine(scores, segments, **options)


def kept_by_pasting(scores, threshold, **options):
    engines = [engine(of_image, threshold=threshold, **options) for of_image in scores]
    return np.mean([np.count_nonzero(e.solve(e.initial()).nodes) for e in engines])


@given(
    seed=st.integers(0, 10**6),
    kept=st.sampled_from([0.0, 0.5, 1.0, 2.2, 3.0]),
    most=st.integers(1, 4),
    simplicity=st.sampled_from([0.0, 0.02, 0.1]),
    step=st.sampled_from([0.01, 0.05]),
)
def test_release_rule_is_the_search_step_by_step(seed, kept, most, simplicity, step):
    rng = np.random.default_rng(seed)
    scores = [rng.uniform(-0.2, 0.9, (rng.integers(0, 6), 3)) for _ in range(5)]
    options = {"most": most, "simplicity": simplicity}
    steps = 0
    while kept_by_pasting(scores, 0.2 + steps * step, **options) > kept:
        steps += 1
    assert fit_threshold(scores, kept=kept, step=step, **options) == 0.2 + steps * step


def test_far_scores_take_no_longer_and_few_segments_keep_the_start():
    assert fit_threshold([np.full((9, 2), 1e6)], kept=0) == pytest.approx(1e6)
    assert fit_threshold([np.full((9, 2), 0.1), np.zeros((0, 2))]) == 0.20
    assert fit_threshold([np.zeros((0, 2))], start=0.3) == 0.3


def scenes(seed, count=4):
    rng = np.random.default_rng(seed)
    truths = [rng.choice([0, 0, 1, 2, 255], (6, 7)).astype(np.uint8) for _ in range(count)]
    segments = [Segments(np.arange(42).reshape(6, 7), rng.random((8, 42)) < 0.3, np.zeros(8)) for _ in range(count)]
    return [rng.uniform(0, 0.5, (8, 2)) for _ in range(count)], segments, truths


@pytest.mark.parametrize("seed", range(4))
def test_choice_is_by_the_image_iou_of_the_first_labellings(seed):
    scores, segments, truths = scenes(seed)
    grid, expected = [0.1, 0.3, 0.4, 0.6], []
    for threshold in grid:
        engines = [PasteEngine(*pair, threshold=threshold) for pair in zip(scores, segments, strict=True)]
        firsts = [e.solve(e.initial()).labels for e in engines]
        expected.append(np.mean([image_iou(t, labels) for t, labels in zip(truths, firsts, strict=True)]))
    choice = choose_threshold(scores, segments, truths, grid)
    np.testing.assert_allclose(choice.one_best, expected)
    assert choice.best == grid[int(np.argmax(expected))]
    trials = [threshold_trial(*image, grid) for image in zip(scores, segments, truths, strict=True)]
    np.testing.assert_allclose(choose(grid, trials[::-1]).one_best, choice.one_best)


def test_bad_options_are_named():
    scores, segments, truths = scenes(0)
    for bad in ({"kept": -1.0}, {"step": 0.0}, {"start": float("nan")}, {"most": 0}, {"simplicity": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            fit_threshold(scores, **bad)
    with pytest.raises(ConfigError, match="no image"):
        fit_threshold([])
    with pytest.raises(ShapeError, match="scores"):
        fit_threshold([np.zeros(3)])
    with pytest.raises(ConfigError, match="at least one"):
        choose_threshold([], [], [])
    with pytest.raises(ShapeError, match="rows"):
        choose_threshold(scores, [s.take(np.arange(3)) for s in segments], truths)
