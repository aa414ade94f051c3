"""The background threshold: its choice by accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.metrics import image_iou
from tinysegrank.proposals import PasteEngine, Segments, choose_threshold


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


def test_bad_options_are_named():
    scores, segments, truths = scenes(0)
    for bad in ({"most": 0}, {"simplicity": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            choose_threshold(scores, segments, truths, **bad)
    with pytest.raises(ShapeError, match="scores"):
        choose_threshold([np.zeros(3)], segments[:1], truths[:1])
    with pytest.raises(ConfigError, match="at least one"):
        choose_threshold([], [], [])
    with pytest.raises(ShapeError, match="rows"):
        choose_threshold(scores, [s.take(np.arange(3)) for s in segments], truths)
