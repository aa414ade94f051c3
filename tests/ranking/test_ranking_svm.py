"""The ranking SVM: derivatives by differences, the line search by SciPy, the optimum by liblinear."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.svm import LinearSVC

from tinysegrank.ranking import RankSVM, ranking_pairs
from tinysegrank.ranking.newton import PairwiseHinge


def problem(seed=0, images=12, proposals=8, d=6, dtype=np.float64):
    """Rows of images in mixed order, whose quality a noisy linear function tells."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((images * proposals, d)).astype(dtype)
    quality = 1 / (1 + np.exp(-(X @ rng.standard_normal(d) + rng.standard_normal(len(X)))))
    return X, quality, rng.permutation(np.repeat(np.arange(images), proposals))


def hinge(seed=0, C=0.7, **options):
    X, quality, groups = problem(seed)
    pairs = ranking_pairs(quality, groups, **options)
    return PairwiseHinge(X, pairs, pairs.difference, C)


def by_liblinear(X, quality, groups, kind, C):
    """The coefficients of LinearSVC on explicit differences, and the number of pairs."""
    better, worse, difference = ranking_pairs(quality, groups, pairs=kind)
    sign = np.where(np.arange(len(better)) % 2, 1, -1)  # liblinear wants two classes
    svm = LinearSVC(C=C, loss="squared_hinge", fit_intercept=False, dual=False, tol=1e-10, max_iter=10**5)
    return svm.fit(sign[:, None] * (X[better] - X[worse]), sign, sample_weight=difference).coef_[0], len(better)


@pytest.mark.parametrize("kind", ["oracle", "all"])
def test_objective_and_derivatives(kind):
    X, quality, groups = problem()
    pairs = ranking_pairs(quality, groups, pairs=kind)
    objective = PairwiseHinge(X, pairs, pairs.difference, 0.7)
    D = X[pairs.better] - X[pairs.worse]
    rng = np.random.default_rng(1)
    w, direction = rng.standard_normal((2, X.shape[1]))

    def value(w):
        return 0.5 * w @ w + 0.7 * sum(c * max(0, 1 - row @ w) ** 2 for c, row in zip(pairs.difference, D, strict=True))

    margins = objective.margins(w)
    np.testing.assert_allclose(margins, D @ w, atol=1e-12)
    assert objective.value(w, margins) == pytest.approx(value(w), rel=1e-12)
    step = 1e-5
    slope = (value(w + step * direction) - value(w - step * direction)) / (2 * step)
    gradient = objective.gradient(w, margins)
    assert gradient @ direction == pytest.approx(slope, rel=1e-7)
    s, s_margins = objective.newton_direction(gradient, margins, tolerance=1e-12)
    H = np.eye(len(w)) + 2 * 0.7 * (D.T * pairs.difference * (margins < 1)) @ D
    np.testing.assert_allclose(H @ s, -gradient, atol=1e-9)
    np.testing.assert_allclose(s_margins, D @ s, atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_line_search_is_exact(seed, scale):
    objective = hinge(seed, pairs="all")
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(6)
    margins = objective.margins(w)
    s = -scale * objective.gradient(w, margins) * rng.random(6)  # a descent direction of any length
    s_margins = objective.margins(s)
    t = objective.exact_step(w, margins, s, s_margins)
    found = minimize_scalar(lambda u: objective.value(w + u * s / scale, margins + u * s_margins / scale), tol=1e-12)
    assert t * scale == pytest.approx(found.x, rel=1e-5)
    assert objective.value(w + t * s, margins + t * s_margins) <= found.fun * (1 + 1e-14)


@pytest.mark.parametrize("kind", ["oracle", "all"])
@pytest.mark.parametrize("C", [1e-2, 1.0, 30.0])
def test_optimum_is_liblinears_on_explicit_differences(kind, C):
    X, quality, groups = problem(2)
    svm = RankSVM(C=C, pairs=kind, tol=1e-9).fit(X, quality, groups)
    reference, count = by_liblinear(X, quality, groups, kind, C)
    np.testing.assert_allclose(svm.coef_, reference, rtol=1e-5, atol=1e-7)
    assert svm.n_pairs_ == count


def test_float32_reaches_the_same_optimum_without_converting_the_features():
    X, quality, groups = problem(3, images=40, d=20)
    exact, single = RankSVM(tol=1e-9).fit(X, quality, groups), RankSVM().fit(X.astype(np.float32), quality, groups)
    assert single.objective_ == pytest.approx(exact.objective_, rel=1e-6)
    np.testing.assert_allclose(single.coef_, exact.coef_, atol=2e-3)
    assert single.decision_function(X.astype(np.float32)).dtype == np.float64


def test_a_group_of_equals_and_a_group_of_one_add_nothing():
    X, quality, groups = problem(7)
    more = np.random.default_rng(1).standard_normal((4, 6))
    svm = RankSVM(tol=1e-9).fit(
        np.vstack([X, more]), np.append(quality, [0.5, 0.5, 0.5005, 0.9]), np.append(groups, [50, 50, 50, 51])
    )
    np.testing.assert_allclose(svm.coef_, RankSVM(tol=1e-9).fit(X, quality, groups).coef_, rtol=1e-6)


def test_warm_start_ends_where_a_cold_start_does_in_fewer_steps():
    X, quality, groups = problem(8, images=40, d=20)
    cold = RankSVM(C=1.1, tol=1e-8).fit(X, quality, groups)
    warm = RankSVM(C=1.0, tol=1e-8, warm_start=True).fit(X, quality, groups).set_params(C=1.1).fit(X, quality, groups)
    np.testing.assert_allclose(warm.coef_, cold.coef_, rtol=1e-5)
    assert warm.n_iter_ < cold.n_iter_
