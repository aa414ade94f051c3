"""Eq. 17 and the SegNet features against SciPy, sums by hand, and loops over cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import rel_entr
from scipy.stats import entropy

from tinysegrank.errors import ShapeError
from tinysegrank.ranking import kl_divergences, proposal_distance
from tinysegrank.ranking.features.segnet import segnet_feature_names, segnet_features
from tinysegrank.voc import CLASS_NAMES, soft_targets_many


def scene(seed=0, M=4, grid=(13, 13), K=21):
    """SegNet's distributions, and proposals with the exact zeros that labels have."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, K, (M, 40, 45))
    return rng.dirichlet(np.full(K, 0.2), grid).astype(np.float32), soft_targets_many(
        labels, grid=grid, num_classes=K, void=None
    )[0]


def smooth(distribution, eps):
    return (1 - eps) * distribution.astype(np.float64) + eps / distribution.shape[-1]


@pytest.mark.parametrize("eps", [1e-3, 0.2])
def test_divergences_are_those_of_scipy(eps):
    coarse, proposals = scene()
    forward, backward = kl_divergences(coarse, proposals, eps=eps)
    for m, proposal in enumerate(proposals):
        p, q = smooth(coarse, eps), smooth(proposal, eps)
        assert forward[m] == pytest.approx(rel_entr(p, q).sum(), rel=1e-12)
        assert backward[m] == pytest.approx(rel_entr(q, p).sum(), rel=1e-12)
        # scipy's entropy normalises, which the rounding of float32 shares makes visible
        assert forward[m] == pytest.approx(entropy(p, q, axis=-1).sum(), rel=1e-5)


def test_score_is_equation_17_of_smoothed_divergences_and_the_unsmoothed_background():
    coarse, proposals = scene(1)
    scores = proposal_distance(coarse, proposals, eps=0.05, background_weight=0.3)
    for m, proposal in enumerate(proposals):
        expected = 0.0
        for r in range(13):
            for c in range(13):
                p, q = smooth(coarse[r, c], 0.05), smooth(proposal[r, c], 0.05)
                expected += rel_entr(p, q).sum() + rel_entr(q, p).sum() + 0.3 * float(proposal[r, c, 0])
        assert scores[m] == pytest.approx(expected, rel=1e-12)
        assert proposal_distance(coarse, proposal, eps=0.05, background_weight=0.3) == pytest.approx(
            expected, rel=1e-12
        )
    assert scores.shape == (4,) and proposal_distance(coarse, proposals[0]).shape == ()


def test_two_classes_and_one_cell_by_hand():
    # eps = 0.2: p = (0.5, 0.5) stays, q = (1, 0) becomes (0.9, 0.1)
    p, q = np.array([[[0.5, 0.5]]]), np.array([[[1.0, 0.0]]])
    forward = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    backward = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert np.allclose(kl_divergences(p, q, eps=0.2), (forward, backward), rtol=1e-14)
    assert proposal_distance(p, q, eps=0.2) == pytest.approx(forward + backward + 0.02 * 1.0, rel=1e-14)


def test_defaults_rank_the_agreeing_proposal_first_and_dislike_background():
    coarse = np.full((2, 2, 3), 1 / 3)
    background, object_ = np.zeros((2, 2, 3)), np.zeros((2, 2, 3))
    background[..., 0] = object_[..., 1] = 1
    scores = proposal_distance(coarse, np.stack([background, object_, coarse]))
    assert scores.argmin() == 2  # agreement
    assert scores[0] - scores[1] == pytest.approx(4 * 0.02, rel=1e-10)  # alike but for Eq. 17's last term
    assert scores[2] == pytest.approx(4 * 0.02 / 3, rel=1e-10)


def test_features_by_loops():
    coarse, proposals = scene(2, M=3)
    features = segnet_features(coarse, proposals)
    assert features.shape == (3, 86) and features.dtype == np.float32
    column = {name: features[:, number] for number, name in enumerate(segnet_feature_names())}
    forward, backward = kl_divergences(coarse, proposals)
    np.testing.assert_allclose(column["kl_segnet_to_proposal"], forward, rtol=1e-6)
    np.testing.assert_allclose(column["kl_proposal_to_segnet"], backward, rtol=1e-6)
    for m in range(3):
        for k, name in enumerate(CLASS_NAMES):
            intersection = union = 0.0
            for r in range(13):
                for c in range(13):
                    p, q = float(coarse[r, c, k]), float(proposals[m, r, c, k])
                    intersection += p * q
                    union += p + q - p * q
            assert column[f"intersection_{name}"][m] == pytest.approx(intersection, rel=1e-6)
            assert column[f"union_{name}"][m] == pytest.approx(union, rel=1e-6)
            assert column[f"intersection_over_union_{name}"][m] == pytest.approx(intersection / union, rel=1e-6)
            expected = math.log1p(min(union / (intersection + 1e-3), 1000.0))
            assert column[f"union_over_intersection_{name}"][m] == pytest.approx(expected, rel=1e-6)


def test_features_of_absent_classes_are_finite():
    coarse, proposal = np.zeros((2, 2, 3)), np.zeros((1, 2, 2, 3))
    coarse[..., 0] = 1  # classes: SegNet's alone, the proposal's alone, neither's
    proposal[..., 1] = 1
    features = segnet_features(coarse, proposal)[0, 2:].reshape(4, 3)
    np.testing.assert_allclose(features, [[0, 0, 0], [4, 4, 0], [0, 0, 0], [np.log1p(1000)] * 2 + [0]], rtol=1e-6)


def test_names_are_the_columns_of_any_number_of_classes():
    assert len(segnet_feature_names()) == len(set(segnet_feature_names())) == 2 + 84
    assert segnet_feature_names(["sky", "sea"])[2:6] == (
        "intersection_sky",
        "intersection_sea",
        "union_sky",
        "union_sea",
    )
    assert segnet_features(*scene(3, K=2)).shape[1] == len(segnet_feature_names(["sky", "sea"]))


def test_inputs_are_not_changed():
    coarse, proposals = scene(4)
    coarse.flags.writeable = proposals.flags.writeable = False
    segnet_features(coarse, proposals)
    proposal_distance(coarse, proposals)


GOOD = np.full((2, 2, 4), 0.25)


@pytest.mark.parametrize(
    ("coarse", "proposal", "options", "message"),
    [
        (GOOD[0], GOOD[0], {}, "proposal"),
        (GOOD, GOOD[:1], {}, "proposal"),
        (GOOD, GOOD[..., :3], {}, "proposal"),
        (GOOD * 2, GOOD, {}, "coarse"),
        (GOOD * np.nan, GOOD, {}, "coarse"),
        (GOOD, GOOD * 0, {}, "void"),
        (GOOD, GOOD + np.array([1, -1, 0, 0]), {}, "proposal"),
        (GOOD, GOOD, {"eps": 0.0}, "eps"),
        (GOOD, GOOD, {"eps": 1.0}, "eps"),
        (GOOD, GOOD, {"eps": np.nan}, "eps"),
        (GOOD, GOOD, {"background_weight": -1.0}, "background_weight"),
        (GOOD, GOOD, {"background_weight": np.inf}, "background_weight"),
    ],
)
def test_bad_input(coarse, proposal, options, message):
    with pytest.raises(ShapeError, match=message):
        proposal_distance(coarse, proposal, **options)
