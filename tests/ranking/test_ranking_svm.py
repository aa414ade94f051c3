"""The ranking SVM: derivatives by differences, line search by SciPy, optimum by liblinear, rules by scikit-learn."""

from __future__ import annotations

import doctest
import logging

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator

from tinysegrank.errors import ShapeError
from tinysegrank.ranking import RankSVM, oracle_picks, pick, ranking_pairs, svm
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


def test_learns_to_pick_better_than_chance():
    X, quality, groups = problem(4, images=60)
    train, test = groups < 40, groups >= 40
    svm = RankSVM().fit(X[train], quality[train], groups[train])
    picked = svm.score(X[test], quality[test], groups[test])
    assert quality[test].mean() + 0.1 < picked <= quality[test][oracle_picks(quality[test], groups[test])].mean()
    assert picked == quality[test][pick(svm.decision_function(X[test]), groups[test])].mean()


def test_what_is_constant_in_each_image_cancels():
    X, quality, groups = problem(5)
    of_image = np.random.default_rng(0).standard_normal((12, 3))[groups]
    svm = RankSVM(tol=1e-8).fit(np.hstack([X, of_image]), quality, groups)
    np.testing.assert_allclose(svm.coef_[6:], 0, atol=1e-10)
    assert svm.objective_ == pytest.approx(RankSVM(tol=1e-8).fit(X, quality, groups).objective_, rel=1e-7)


def test_order_of_rows_and_numbers_of_groups_do_not_matter():
    X, quality, groups = problem(6)
    order = np.random.default_rng(0).permutation(len(X))
    one = RankSVM(tol=1e-8).fit(X, quality, groups)
    other = RankSVM(tol=1e-8).fit(X[order], quality[order], 1000 - 3 * groups[order])
    assert one.objective_ == pytest.approx(other.objective_, rel=1e-7)
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-3)


def test_nothing_to_rank_gives_zeros_and_a_log_line(caplog):
    with caplog.at_level(logging.WARNING):
        svm = RankSVM().fit(np.ones((3, 2)), np.array([0.5, 0.5, 0.2]), np.array([0, 0, 1]))
    assert svm.coef_.tolist() == [0, 0] and svm.n_pairs_ == svm.n_iter_ == 0
    assert "nothing to rank" in caplog.text
    assert svm.decision_function(np.ones((1, 2))) == 0


def test_same_data_same_coefficients_to_the_bit_and_inputs_untouched():
    arrays = problem(9)
    for array in arrays:
        array.flags.writeable = False
    assert (RankSVM().fit(*arrays).coef_ == RankSVM().fit(*arrays).coef_).all()


def test_is_a_scikit_learn_estimator():
    svm = RankSVM(C=3.0)
    assert svm.get_params()["C"] == clone(svm).C == 3.0
    assert svm.fit(*problem()) is svm and svm.n_features_in_ == 6
    with pytest.raises(NotFittedError):
        clone(svm).decision_function(np.ones((1, 6)))
    with pytest.warns(ConvergenceWarning, match="1 Newton steps"):
        RankSVM(C=100.0, tol=1e-12, max_iter=1).fit(*problem())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, quality, groups: (X * np.nan, quality, groups), "row 0, column 0 is nan"),
        (lambda X, quality, groups: (X[:-1], quality, groups), "rows"),
        (lambda X, quality, groups: (X[0], quality, groups), "Expected 2D array"),
        (lambda X, quality, groups: (X[:, :0], quality, groups), "0 feature"),
        (lambda X, quality, groups: (X[:0], quality[:0], groups[:0]), "0 sample"),
        (lambda X, quality, groups: (X.astype(complex), quality, groups), "Complex"),
        (lambda X, quality, groups: (X, None, groups), "requires y"),
        (lambda X, quality, groups: (X, quality * np.nan, groups), "NaN"),
        (lambda X, quality, groups: (X, quality * np.inf, groups), "infinity"),
        (lambda X, quality, groups: (X, quality, groups[:-1]), "groups"),
        (lambda X, quality, groups: (X, quality, groups + 0.5), "integer"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ShapeError, match=message):
        RankSVM().fit(*change(*problem()))


def test_scikit_learns_own_checks_pass():
    """All of them; the groups are optional metadata, so none is excepted."""
    done = check_estimator(RankSVM(), on_skip=None)
    assert {check["status"] for check in done} <= {"passed", "skipped"} and len(done) > 30


def test_rows_without_groups_are_of_one_image():
    X, quality, _ = problem()
    alone, together = RankSVM().fit(X, quality), RankSVM().fit(X, quality, np.full(len(X), 7))
    assert (alone.coef_ == together.coef_).all()
    assert alone.score(X, quality) == quality[alone.decision_function(X).argmax()]


def test_the_example_of_cross_validation_works_as_printed():
    result = doctest.testmod(svm)
    assert (result.failed, result.attempted) == (0, 10)


@pytest.mark.parametrize("options", [{"C": 0.0}, {"C": np.nan}, {"tol": 0.0}, {"tol": 1.0}, {"max_iter": 0}], ids=str)
def test_bad_options(options):
    with pytest.raises(ShapeError, match=next(iter(options))):
        RankSVM(**options).fit(*problem())


def test_other_columns_than_trained_on():
    with pytest.raises(ShapeError, match=r"^X: X has 5 features, but .* is expecting 6"):
        RankSVM().fit(*problem()).decision_function(np.ones((1, 5)))
