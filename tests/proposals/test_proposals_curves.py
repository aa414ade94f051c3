"""The oracle's curve against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.metrics import corpus_iou, image_iou
from tinysegrank.proposals import Proposal, oracle_confusions, oracle_curve, trial

COUNTS = (1, 2, 3, 7)


def images(seed, count=4, least=1):
    """Truths with void, one of them all void, and 1 to 5 random proposals of each."""
    rng = np.random.default_rng(seed)
    truths = [rng.choice([0, 1, 2, 255], (5, 6)).astype(np.uint8) for _ in range(count)]
    truths[count // 2][:] = 255
    labels = [rng.integers(0, 3, (rng.integers(least, 6), 5, 6)).astype(np.uint8) for _ in range(count)]
    return truths, labels


def best(truth, labels, m):
    quality = [image_iou(truth, one) for one in labels[:m]]
    return labels[0] if np.isnan(quality).all() else labels[quality.index(max(quality))]


@pytest.mark.parametrize("seed", range(5))
def test_curve_by_its_definition(seed):
    truths, labels = images(seed)
    curve = oracle_curve(truths, labels, COUNTS, classes=[1, 2], num_classes=3)
    assert curve.counts.tolist() == list(COUNTS)
    for row, m in enumerate(COUNTS):
        picks = [best(t, one, m) for t, one in zip(truths, labels, strict=True)]
        iou = corpus_iou(truths, picks, num_classes=3)
        np.testing.assert_allclose(curve.iou[row], iou)
        assert curve.mean[row] == pytest.approx(iou.mean())
        assert curve.listed[row] == pytest.approx(iou[1:].mean())
        by_image = [image_iou(t, pick) for t, pick in zip(truths, picks, strict=True)]
        assert curve.image_iou[row] == pytest.approx(np.nanmean(by_image))
    assert (np.diff(curve.image_iou) >= 0).all()


def test_proposals_and_their_labels_give_the_same_and_trial_agrees():
    truths, labels = images(3)
    proposals = [[Proposal(one, 0.0, np.zeros(1, int)) for one in of_image] for of_image in labels]
    for a, b in zip(oracle_curve(truths, labels), oracle_curve(truths, proposals), strict=True):
        np.testing.assert_array_equal(a, b)
    confusions = oracle_confusions(truths[0], labels[0], (len(labels[0]), 1), num_classes=21)
    np.testing.assert_array_equal(trial(truths[0], proposals[0]), confusions)


def test_classes_absent_from_the_truth_are_left_out_of_both_means():
    truth, labels = np.array([[0, 0, 1, 1]]), np.array([[[0, 2, 1, 1]]])
    curve = oracle_curve([truth], [labels], (1,), classes=[1, 2])
    assert curve.mean.tolist() == [(0.5 + 1) / 2]
    assert curve.listed.tolist() == [1.0]
    assert np.isnan(oracle_curve([truth], [labels], (1,), classes=[5]).listed).all()


def test_only_void_gives_no_number():
    curve = oracle_curve([np.full((2, 2), 255)], [np.zeros((1, 2, 2), int)], (1, 5))
    for values in (curve.iou, curve.mean, curve.listed, curve.image_iou):
        assert np.isnan(values).all()


def test_bad_input_is_named():
    truths, labels = images(0)
    for counts in ((), (0,), (1, -1)):
        with pytest.raises(ConfigError, match="counts"):
            oracle_confusions(truths[0], labels[0], counts, num_classes=21)
    with pytest.raises(ConfigError, match="at least one"):
        oracle_confusions(truths[0], [], num_classes=21)
    with pytest.raises(ConfigError, match="at least one image"):
        oracle_curve([], [])
    with pytest.raises(ShapeError, match="one of each"):
        oracle_curve(truths, labels[:-1])
    with pytest.raises(ShapeError, match="shape"):
        oracle_curve(truths, [one[:, :2] for one in labels])
    with pytest.raises(ConfigError, match="classes"):
        oracle_curve(truths, labels, classes=[1, 1])
