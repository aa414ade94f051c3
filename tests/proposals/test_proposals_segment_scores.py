"""Regression against its definition and scikit-learn's, the rows learnt from, rare classes, files."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.svm import LinearSVR

from tests.proposals.overlaps import mask_overlaps
from tinysegrank.errors import CheckpointError, ConfigError, ShapeError
from tinysegrank.files import write_arrays
from tinysegrank.proposals import Segments
from tinysegrank.proposals.o2p.scorer import SegmentScorer, training_rows
from tinysegrank.proposals.o2p.second_order import Projection
from tinysegrank.proposals.o2p.support_vectors import fit_regression, fit_regressions
from tinysegrank.stored_rows import RowFile
from tinysegrank.voc.objects import Objects


def problem(seed=0, count=200, length=6, noise=0.4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, length))
    return X, X @ rng.normal(size=length) / 3 + noise * rng.normal(size=count)


def objective(w, X, y, C, epsilon):
    return 0.5 * w @ w + C * np.sum(np.maximum(0, np.abs(X @ w - y) - epsilon) ** 2)


# Regression -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("C", "epsilon"), [(3, 0.25), (0.01, 0.25), (100, 0), (3, 5)])
def test_regression_minimises_its_objective(C, epsilon):
    X, y = problem()
    found = fit_regression(X, y, C=C, epsilon=epsilon, tol=1e-10)
    assert found.converged
    direct = minimize(objective, np.zeros(6), (X, y, C, epsilon), tol=1e-12)
    np.testing.assert_allclose(found.w, direct.x, atol=1e-4)
    assert objective(found.w, X, y, C, epsilon) <= direct.fun * (1 + 1e-9)


def test_regression_agrees_with_scikit_learn():
    X, y = problem()
    peer = LinearSVR(
        loss="squared_epsilon_insensitive", epsilon=0.25, C=3, fit_intercept=False, dual=False, tol=1e-8, max_iter=10000
    ).fit(X, y)
    np.testing.assert_allclose(fit_regression(X, y, tol=1e-8).w, peer.coef_, atol=1e-4)


def test_regression_in_float32_is_near_that_in_float64():
    X, y = problem()
    single = fit_regression(X.astype(np.float32), y, tol=1e-12)
    assert single.converged
    np.testing.assert_allclose(single.w, fit_regression(X, y, tol=1e-12).w, atol=1e-5)


def test_regression_of_few_rows_and_steps():
    X, y = problem(count=3, length=5)
    found = fit_regression(X, y, epsilon=0, tol=1e-10)
    ridge = np.linalg.solve(np.eye(5) + 6 * X.T @ X, 6 * X.T @ y)
    np.testing.assert_allclose(found.w, ridge, atol=1e-8)
    short = fit_regression(*problem(), tol=1e-10, max_iter=1)
    assert (short.steps, short.converged) == (1, False)
    np.testing.assert_array_equal(fit_regression(X, np.zeros(3)).w, 0)


@pytest.mark.parametrize("block", [2**15, 16])
def test_regressions_together_and_from_a_file_are_those_one_by_one(tmp_path, monkeypatch, block):
    X, y = problem(count=100)
    X, Y = X.astype(np.float32), np.stack([y, np.zeros(100), -2 * y + 1], axis=1).astype(np.float32)
    chosen = np.delete(np.arange(100), [3, 50, 51])
    (tmp_path / "rows").write_bytes(X.tobytes())
    monkeypatch.setattr("tinysegrank.proposals.o2p.support_vectors._ROWS", block)
    centre = np.array([0.1, 0.0, 1.0])
    found = fit_regressions(RowFile(tmp_path / "rows", 100, np.float32, chosen), Y[chosen], centre=centre)
    assert len(found) == 3 and found[1].steps == 0 < found[2].steps
    monkeypatch.undo()
    for regression, column, c in zip(found, Y[chosen].T.astype(float), centre, strict=True):
        alone = fit_regression(X[chosen], column - c)
        assert regression.converged and alone.converged
        if block > 100:
            np.testing.assert_array_equal(regression.w, alone.w)
        np.testing.assert_allclose(regression.w, alone.w, atol=1e-4)


# Rows -----------------------------------------------------------------------------------------------------------------


def scene():
    """A 4 x 12 image of four superpixels, each three columns wide, and three segments of them."""
    superpixels = np.repeat(np.arange(4), 3)[None].repeat(4, axis=0)
    members = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 1, 1]], bool)
    return Segments(superpixels, members, np.zeros(3))


def test_rows_are_segments_objects_and_best_segments():
    segments = scene()
    masks = np.zeros((3, 4, 12), bool)
    masks[0, :, :5] = True  # most of the first segment
    masks[1, :, 8:12] = True  # the last superpixel and a third of the one before
    masks[2, 0, 0] = True  # less than half of any superpixel
    known = np.ones((4, 12), bool)
    known[:, 5] = False
    members, targets, true = training_rows(segments, Objects(masks, np.array([2, 2, 3])), known, num_classes=4)
    expected = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0]], bool)
    np.testing.assert_array_equal(members, expected)
    assert true == slice(3, 5)
    overlaps = mask_overlaps(expected[:, segments.superpixels], masks, valid=known)
    np.testing.assert_array_equal(targets[:, 0], 0)
    np.testing.assert_allclose(targets[:, 1], overlaps[:, :2].max(axis=1))
    np.testing.assert_allclose(targets[:, 2], overlaps[:, 2])
    np.testing.assert_allclose(targets[0], [0, 1, 1 / 20])


def test_rows_without_objects_or_segments():
    segments = scene()
    known = np.ones((4, 12), bool)
    none = Objects(np.zeros((0, 4, 12), bool), np.zeros(0, int))
    members, targets, _ = training_rows(segments, none, known, num_classes=21)
    np.testing.assert_array_equal(members, segments.members)
    assert targets.shape == (3, 20) and not targets.any()
    whole = Objects(np.ones((1, 4, 12), bool), np.array([20]))
    members, targets, _ = training_rows(segments.take(np.zeros(0, int)), whole, known, num_classes=21)
    np.testing.assert_array_equal(members, [[True] * 4])
    np.testing.assert_array_equal(targets, np.eye(20)[[19]])
    members, targets, _ = training_rows(segments, whole, np.zeros((4, 12), bool), num_classes=21)
    assert len(members) == 3 and not targets.any()


def test_bad_objects_are_named():
    segments, known = scene(), np.ones((4, 12), bool)
    with pytest.raises(ShapeError, match="do not fit"):
        training_rows(segments, Objects(np.ones((1, 4, 4), bool), np.array([1])), known, num_classes=21)
    for k in (0, 21):
        with pytest.raises(ShapeError, match="classes"):
            training_rows(segments, Objects(np.ones((1, 4, 12), bool), np.array([k])), known, num_classes=21)


# Scores ---------------------------------------------------------------------------------------------------------------


def overlaps_from(features, rng):
    """Targets of three classes that follow the first two features; the third class has three good rows only."""
    targets = np.clip(0.5 + 0.4 * features[:, :3] + 0.05 * rng.normal(size=(len(features), 3)), 0, 1)
    targets[:, 2] = 0.1
    targets[:3, 2] = 0.9
    return targets.astype(np.float32)


def fitted(rng, count=400):
    features = rng.normal(size=(count, 8)).astype(np.float32)
    targets = overlaps_from(features, rng)
    return SegmentScorer(epsilon=0.05).fit(features, targets), features, targets


def test_scores_are_overlaps_above_the_mean(rng):
    scorer, features, targets = fitted(rng)
    scores = scorer.scores(features)
    assert scores.shape == (400, 3)
    np.testing.assert_allclose(scorer.means_, targets.mean(axis=0, dtype=float))
    for k in range(2):
        centred = targets[:, k] - targets[:, k].mean(dtype=float)
        w = fit_regression(features.astype(float), centred, C=3, epsilon=0.05, tol=1e-10).w
        np.testing.assert_allclose(scores[:, k], features @ w, atol=1e-3)
        assert np.corrcoef(scores[:, k], targets[:, k])[0, 1] > 0.9


def test_a_class_with_few_good_rows_scores_as_if_absent(rng, caplog):
    with caplog.at_level(logging.INFO, logger="tinysegrank.proposals.o2p.scorer"):
        scorer, features, targets = fitted(rng)
    assert scorer.classes_.tolist() == [1, 2]
    assert "class 3 has 3 segments" in caplog.text
    np.testing.assert_allclose(scorer.scores(features)[:, 2], -targets[:, 2].mean(dtype=float))
    assert scorer.scores(features[:0]).shape == (0, 3)


def test_a_regression_cut_short_is_said(rng, caplog, monkeypatch):
    monkeypatch.setattr("tinysegrank.proposals.o2p.scorer.fit_regressions", partial(fit_regressions, max_iter=1))
    fitted(rng)
    assert "did not converge in 1 steps" in caplog.text


def test_scorer_is_saved_and_read(rng, tmp_path):
    scorer, features, _ = fitted(rng)
    path = tmp_path / "scorer.safetensors"
    scorer.save(path)
    loaded = SegmentScorer.load(path)
    np.testing.assert_array_equal(loaded.scores(features), scorer.scores(features))
    assert (loaded.C, loaded.epsilon) == (scorer.C, scorer.epsilon)
    about = {"format": "tinysegrank segment scorer 1", "C": "3.0", "epsilon": "0.25"}
    arrays = {"weights": scorer.weights_, "means": scorer.means_, "classes": scorer.classes_}
    write_arrays(path, arrays)
    with pytest.raises(CheckpointError, match="segment scorer"):
        SegmentScorer.load(path)
    write_arrays(path, arrays | {"means": scorer.means_[1:]}, about=about)
    with pytest.raises(CheckpointError, match="does not fit"):
        SegmentScorer.load(path)
    del arrays["classes"]
    write_arrays(path, arrays, about=about)
    with pytest.raises(CheckpointError, match="classes"):
        SegmentScorer.load(path)


def test_bad_training_data_are_named(rng):
    scorer, features, targets = fitted(rng)
    with pytest.raises(ShapeError, match="targets"):
        SegmentScorer().fit(features, targets[1:])
    with pytest.raises(ShapeError, match="are needed"):
        SegmentScorer().fit(features[:0], targets[:0])
    with pytest.raises(ShapeError, match="finite"):
        SegmentScorer().fit(features * np.inf, targets)
    with pytest.raises(ShapeError, match="features"):
        scorer.scores(features[:, 1:])
    with pytest.raises(ConfigError, match="epsilon"):
        SegmentScorer(epsilon=-1)


# Projection -----------------------------------------------------------------------------------------------------------


def test_projection_keeps_the_longest_directions(rng):
    rows = (rng.normal(size=(60, 20)) * np.linspace(3, 0.1, 20) + 1).astype(np.float32)
    projection = Projection.fit(rows, rng=rng, size=4)
    _, _, directions = np.linalg.svd(rows.astype(float), full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(projection.directions * directions[:4].T, axis=0)), 1, atol=1e-3)
    np.testing.assert_allclose(projection.apply(rows), rows @ projection.directions, rtol=1e-6)


def test_projection_of_few_rows_keeps_their_inner_products(rng):
    rows = rng.normal(size=(5, 30)).astype(np.float32)
    projected = Projection.fit(rows, rng=rng).apply(rows)
    assert projected.shape == (5, 5)
    np.testing.assert_allclose(projected @ projected.T, rows @ rows.T, atol=1e-4)


def test_projection_is_saved_and_read(rng, tmp_path):
    projection = Projection.fit(rng.normal(size=(5, 3)).astype(np.float32), rng=rng, size=2)
    path = tmp_path / "projection.safetensors"
    projection.save(path)
    np.testing.assert_array_equal(Projection.load(path).directions, projection.directions)
    write_arrays(path, {}, about={"format": "tinysegrank projection 1"})
    with pytest.raises(CheckpointError, match="directions"):
        Projection.load(path)
    write_arrays(path, {"directions": projection.directions})
    with pytest.raises(CheckpointError, match="does not hold a tinysegrank projection"):
        Projection.load(path)


def test_bad_projections_are_named(rng):
    rows = rng.normal(size=(5, 3)).astype(np.float32)
    with pytest.raises(ShapeError, match="finite"):
        Projection.fit(rows * np.nan, rng=rng)
    with pytest.raises(ShapeError, match="at least one"):
        Projection.fit(rows[:0], rng=rng)
    with pytest.raises(ShapeError, match="must be"):
        Projection.fit(rows, rng=rng).apply(rows[:, :2])
    with pytest.raises(ShapeError, match="directions"):
        Projection(np.zeros((2, 3), np.float32))
