"""Gains in corpus IoU against exchanging picks one by one."""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.errors import ShapeError
from tinysegrank.metrics import Confusion
from tinysegrank.ranking import corpus_gains

IMAGES, EACH, K = 400, 3, 4
GROUPS = np.repeat(np.arange(IMAGES), EACH)
FIRST = np.arange(0, IMAGES * EACH, EACH)


def confusions_of(seed):
    return np.random.default_rng(seed).integers(0, 50, (IMAGES * EACH, K, K)) + 60 * np.eye(K, dtype=np.int64)


def corpus_iou(confusions, classes=None):
    total = Confusion(K)
    total.matrix += confusions.sum(axis=0)
    return total.mean_iou(classes=classes).value


@pytest.mark.parametrize("classes", [None, (0, 2)], ids=["all", "two"])
def test_a_gain_is_what_one_exchange_brings(classes):
    confusions = confusions_of(0)
    gains = corpus_gains(confusions, GROUPS, FIRST, classes=classes)
    before = corpus_iou(confusions[FIRST], classes)
    for row in range(0, len(GROUPS), 37):
        picks = FIRST.copy()
        picks[GROUPS[row]] = row
        change = (corpus_iou(confusions[picks], classes) - before) * IMAGES
        gain = gains[row] - gains[FIRST[GROUPS[row]]]
        assert change == pytest.approx(gain, abs=0.02 * np.ptp(gains))


def test_picking_by_it_beats_picking_by_each_images_own_iou():
    """One class is in few pixels of every image, and all over one image."""
    rng = np.random.default_rng(1)
    confusions = np.zeros((IMAGES * EACH, 2, 2), np.int64)
    confusions[:, 0, 0] = 1000
    few = rng.integers(0, 4, IMAGES * EACH)
    confusions[:, 1, 1], confusions[:, 1, 0] = few, 3 - few
    confusions[:, 0, 1] = rng.integers(0, 300, IMAGES * EACH) * few  # finding it costs the other class
    inside = np.einsum("nkk->nk", confusions)
    own = (inside / (confusions.sum(axis=1) + confusions.sum(axis=2) - inside)).mean(axis=1).reshape(IMAGES, EACH)
    by_own = np.arange(IMAGES) * EACH + own.argmax(axis=1)
    gains = corpus_gains(confusions, GROUPS, by_own).reshape(IMAGES, EACH)
    by_gain = np.arange(IMAGES) * EACH + gains.argmax(axis=1)
    assert corpus_iou2(confusions[by_gain]) > corpus_iou2(confusions[by_own])


def corpus_iou2(confusions):
    total = Confusion(2)
    total.matrix += confusions.sum(axis=0)
    return total.mean_iou().value


def test_a_class_that_is_nowhere_is_skipped():
    confusions = confusions_of(2)
    confusions[:, 3, :] = confusions[:, :, 3] = 0
    gains = corpus_gains(confusions, GROUPS, FIRST)
    np.testing.assert_allclose(gains, corpus_gains(confusions, GROUPS, FIRST, classes=(0, 1, 2)))
    with pytest.raises(ShapeError, match="none is in these images"):
        corpus_gains(confusions, GROUPS, FIRST, classes=(3,))


def test_what_does_not_fit():
    confusions = confusions_of(3)
    with pytest.raises(ShapeError, match="one matrix per row"):
        corpus_gains(confusions[1:], GROUPS, FIRST)
    with pytest.raises(ShapeError, match="one row of each image"):
        corpus_gains(confusions, GROUPS, FIRST[1:])
    with pytest.raises(ShapeError, match="one row of each image"):
        corpus_gains(confusions, GROUPS, np.r_[FIRST[:-1], 1])
