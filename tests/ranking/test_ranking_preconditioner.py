"""The preconditioner of the ranking SVM: the matrix by its definition, what a sample stands for, what it saves."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ranking.test_ranking_svm import by_liblinear
from tinysegrank.ranking import RankSVM, ranking_pairs
from tinysegrank.ranking.newton import PairwiseHinge, SampledHessian


def problem(images=30, proposals=10, d=12, dtype=np.float64, correlated=True):
    """Columns of 3 factors and noise, of which a noisy one tells the quality."""
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((images * proposals, 3))
    X = hidden @ rng.standard_normal((3, d)) * (10 if correlated else 0) + rng.standard_normal((len(hidden), d))
    quality = 1 / (1 + np.exp(-(hidden[:, 0] + X[:, 0] - X[:, 1])))
    return X.astype(dtype), quality, rng.permutation(np.repeat(np.arange(images), proposals))


def hessian(X, pairs, curvature):
    D = (X[pairs.better] - X[pairs.worse]).astype(np.float64)
    return np.eye(X.shape[1]) + (D.T * curvature) @ D


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 0.02)])
def test_of_few_pairs_it_is_the_hessian(dtype, tolerance):
    X, quality, groups = problem(dtype=dtype)
    pairs = ranking_pairs(quality, groups)
    curvature = np.where(np.arange(len(pairs.better)) % 3, 0.02 * pairs.difference, 0)
    preconditioner = SampledHessian(X, pairs, curvature)
    inverse = np.stack([preconditioner.solve(unit) for unit in np.eye(12)])
    assert inverse.dtype == np.float64
    np.testing.assert_allclose(inverse @ hessian(X, pairs, curvature), np.eye(12), atol=tolerance)
    assert (preconditioner.active == (curvature > 0)).all()


def test_of_many_pairs_it_is_the_hessian_of_a_sample_of_the_same_total_weight():
    X, quality, groups = problem(images=150, proposals=12, correlated=False)
    pairs = ranking_pairs(quality, groups, pairs="all")
    curvature = np.where(np.arange(len(pairs.better)) % 2, pairs.difference, 0)
    exact = hessian(X, pairs, curvature)
    inverse = np.stack([SampledHessian(X, pairs, curvature).solve(unit) for unit in np.eye(12)])
    values = np.linalg.eigvals(inverse @ exact).real
    assert len(pairs.better) > 9000
    assert 0.6 < values.min() < values.max() < 1.6
    assert not np.allclose(inverse @ exact, np.eye(12), atol=0.01)


@pytest.mark.parametrize("C", [1e-2, 10.0])
def test_optimum_is_liblinears_with_sampled_pairs(C):
    X, quality, groups = problem(images=60, proposals=12)
    svm = RankSVM(C=C, pairs="all", tol=1e-9).fit(X, quality, groups)
    reference, count = by_liblinear(X, quality, groups, "all", C)
    assert count > 2000
    np.testing.assert_allclose(svm.coef_, reference, rtol=1e-4, atol=1e-5)


def test_saves_passes_over_correlated_features(monkeypatch):
    passes = []
    margins = PairwiseHinge.margins
    monkeypatch.setattr(PairwiseHinge, "margins", lambda self, w: passes.append(1) or margins(self, w))
    rng = np.random.default_rng(2)
    mixing = np.geomspace(1, 30, 60)[:, None] * np.linalg.qr(rng.standard_normal((60, 60)))[0]
    X, groups = rng.standard_normal((1000, 60)) @ mixing / 30, np.repeat(np.arange(100), 10)
    quality = 1 / (1 + np.exp(-X @ rng.standard_normal(60)))
    preconditioned = RankSVM(C=10.0, tol=1e-6).fit(X, quality, groups)
    taken = len(passes)
    monkeypatch.setattr(PairwiseHinge, "_refresh_preconditioner", lambda self, curvature: None)
    plain = RankSVM(C=10.0, tol=1e-6).fit(X, quality, groups)
    assert taken < (len(passes) - taken) / 2
    assert preconditioned.objective_ == pytest.approx(plain.objective_, rel=1e-6)


@pytest.mark.parametrize(("d", "made"), [(60, True), (61, False)])
def test_none_for_more_columns_than_rows(d, made):
    X, quality, groups = problem(images=6, d=d)
    pairs = ranking_pairs(quality, groups)
    objective = PairwiseHinge(X, pairs, pairs.difference, 0.1)
    zero = np.zeros(len(pairs.better))
    gradient = objective.gradient(np.zeros(d), zero)
    s, s_margins = objective.newton_direction(gradient, zero, tolerance=1e-10)
    assert (objective.preconditioner is not None) == made
    H = hessian(X, pairs, 0.2 * pairs.difference)
    np.testing.assert_allclose(s, np.linalg.solve(H, -gradient), rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(s_margins, objective.margins(s), atol=1e-8)


def test_made_anew_once_the_active_pairs_have_changed():
    X, quality, groups = problem()
    pairs = ranking_pairs(quality, groups)
    objective = PairwiseHinge(X, pairs, pairs.difference, 0.1)
    margins, gradient = np.zeros(len(pairs.better)), np.ones(12)

    def made():
        objective.newton_direction(gradient, margins, tolerance=0.1)
        return objective.preconditioner

    first = made()
    margins[: len(margins) // 6] = 2  # no longer active: 1/6 of all, 1/5 of the others
    assert made() is first
    margins[: len(margins) // 3] = 2
    second = made()
    assert second is not first
    assert (second.active == (margins < 1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("C", [1e-4, 1e6])
@pytest.mark.parametrize("kind", ["one direction", "repeated columns", "zeros", "columns of many sizes"])
def test_is_positive_definite_however_the_columns_hang_together(dtype, C, kind):
    rng = np.random.default_rng(1)
    X = {
        "one direction": lambda: np.outer(rng.standard_normal(300), rng.standard_normal(40)),
        "repeated columns": lambda: np.tile(rng.standard_normal((300, 4)), (1, 10)),
        "zeros": lambda: np.zeros((300, 40)),
        "columns of many sizes": lambda: rng.standard_normal((300, 40)) * 10.0 ** rng.integers(-6, 7, 40),
    }[kind]().astype(dtype)
    pairs = ranking_pairs(rng.random(300), np.arange(300) % 10)
    preconditioner = SampledHessian(X, pairs, C * pairs.difference)
    for r in rng.standard_normal((5, 40)):
        assert r @ preconditioner.solve(r) > 0
