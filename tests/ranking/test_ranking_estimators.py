"""Both rankers learn, ignore what cancels, repeat to the bit, and refuse bad input."""

from __future__ import annotations

import doctest
import logging

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from tests.ranking.test_ranking_svm import problem
from tinysegrank.errors import ShapeError
from tinysegrank.ranking import RankSVM, StructuralSVM, oracle_picks, pick, svm

kinds = pytest.mark.parametrize("kind", [RankSVM, StructuralSVM])


@kinds
def test_learns_to_pick_better_than_chance(kind):
    X, quality, groups = problem(4, images=60)
    train, test = groups < 40, groups >= 40
    svm = kind().fit(X[train], quality[train], groups[train])
    picked = svm.score(X[test], quality[test], groups[test])
    assert quality[test].mean() + 0.1 < picked <= quality[test][oracle_picks(quality[test], groups[test])].mean()
    assert picked == quality[test][pick(svm.decision_function(X[test]), groups[test])].mean()


@kinds
def test_what_is_constant_in_each_image_cancels(kind):
    X, quality, groups = problem(5)
    of_image = np.random.default_rng(0).standard_normal((12, 3))[groups]
    svm = kind(tol=1e-8).fit(np.hstack([X, of_image]), quality, groups)
    np.testing.assert_allclose(svm.coef_[6:], 0, atol=1e-10)
    assert svm.objective_ == pytest.approx(kind(tol=1e-8).fit(X, quality, groups).objective_, rel=1e-7)


@kinds
def test_order_of_rows_and_numbers_of_groups_do_not_matter(kind):
    X, quality, groups = problem(6)
    order = np.random.default_rng(0).permutation(len(X))
    one = kind(tol=1e-8).fit(X, quality, groups)
    other = kind(tol=1e-8).fit(X[order], quality[order], 1000 - 3 * groups[order])
    assert one.objective_ == pytest.approx(other.objective_, rel=1e-7)
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-3)


@kinds
def test_nothing_to_rank_gives_zeros_and_a_log_line(kind, caplog):
    with caplog.at_level(logging.WARNING):
        svm = kind().fit(np.ones((3, 2)), np.array([0.5, 0.5, 0.2]), np.array([0, 0, 1]))
    assert svm.coef_.tolist() == [0, 0] and svm.n_pairs_ == svm.n_iter_ == 0
    assert "nothing to rank" in caplog.text
    assert svm.decision_function(np.ones((1, 2))) == 0


@kinds
def test_same_data_same_coefficients_to_the_bit_and_inputs_untouched(kind):
    arrays = problem(9)
    for array in arrays:
        array.flags.writeable = False
    assert (kind().fit(*arrays).coef_ == kind().fit(*arrays).coef_).all()


@kinds
def test_is_a_scikit_learn_estimator(kind):
    svm = kind(C=3.0)
    assert svm.get_params()["C"] == clone(svm).C == 3.0
    assert svm.fit(*problem()) is svm and svm.n_features_in_ == 6
    with pytest.raises(NotFittedError):
        clone(svm).decision_function(np.ones((1, 6)))
    with pytest.warns(ConvergenceWarning, match="1 (Newton steps|planes with the optimum between)"):
        kind(C=100.0, tol=1e-12, max_iter=1).fit(*problem())


@kinds
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
def test_bad_input(kind, change, message):
    with pytest.raises(ShapeError, match=message):
        kind().fit(*change(*problem()))


@kinds
def test_scikit_learns_own_checks_pass(kind):
    """All of them; the groups are optional metadata, so none is excepted."""
    done = check_estimator(kind(), on_skip=None)
    assert {check["status"] for check in done} <= {"passed", "skipped"} and len(done) > 30


@kinds
def test_rows_without_groups_are_of_one_image(kind):
    X, quality, _ = problem()
    alone, together = kind().fit(X, quality), kind().fit(X, quality, np.full(len(X), 7))
    assert (alone.coef_ == together.coef_).all()
    assert alone.score(X, quality) == quality[alone.decision_function(X).argmax()]


def test_the_example_of_cross_validation_works_as_printed():
    result = doctest.testmod(svm)
    assert (result.failed, result.attempted) == (0, 10)


@kinds
def test_warm_start_takes_the_coefficients_of_the_fit_before(kind):
    start = kind(warm_start=True, tol=1e-8).fit(*problem())
    steps = start.n_iter_
    assert start.fit(*problem()).n_iter_ < steps


@kinds
@pytest.mark.parametrize("options", [{"C": 0.0}, {"C": np.nan}, {"tol": 0.0}, {"tol": 1.0}, {"max_iter": 0}], ids=str)
def test_bad_options(kind, options):
    with pytest.raises(ShapeError, match=next(iter(options))):
        kind(**options).fit(*problem())


@kinds
def test_other_columns_than_trained_on(kind):
    with pytest.raises(ShapeError, match=r"^X: X has 5 features, but .* is expecting 6"):
        kind().fit(*problem()).decision_function(np.ones((1, 5)))
