"""The boosted ranker: its target by loops, its trees scikit-learn's, what a linear ranker cannot learn."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from threadpoolctl import threadpool_limits

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.ranking import (
    BoostedRanker,
    FeatureTable,
    RankSVM,
    Standardizer,
    StructuralSVM,
    choose_C,
    fit_ranker,
    oracle_picks,
    pick,
)
from tinysegrank.ranking.boosted import relative_quality


@pytest.fixture(autouse=True)
def one_thread():
    """Small trees in several threads wait for each other where the cores are busy."""
    with threadpool_limits(1):
        yield


FEW = {"max_iter": 20, "min_samples_leaf": 5}


def problem(seed=0, images=40, proposals=8):
    """The first feature tells the quality, with the sign of the second, the image's kind; the third is noise."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(images), proposals))
    X = rng.standard_normal((len(groups), 3))
    X[:, 1] = np.where(groups % 2, 1, -1)
    quality = 1 / (1 + np.exp(-X[:, 0] * X[:, 1] + rng.standard_normal(images)[groups]))
    return X, quality, groups


def test_relative_quality_by_loops():
    _, quality, groups = problem()
    quality, groups = np.append(quality, [0.3, 0.3, 0.7]), np.append(groups, [77, 77, -5])  # of equals, and alone
    found = relative_quality(quality, groups)
    for row in range(len(groups)):
        same = quality[groups == groups[row]]
        if same.min() == same.max():
            assert np.isnan(found[row])
        else:
            assert found[row] == pytest.approx(quality[row] - same.mean(), abs=1e-12)
    assert np.isnan(found).sum() == 3


def test_trees_are_scikit_learns_of_quality_in_the_image():
    X, quality, groups = problem()
    more = np.append(quality, [0.3, 0.3]), np.append(groups, [77, 77])  # a group of equals is left out
    ranker = BoostedRanker(**FEW, learning_rate=0.2, seed=3).fit(np.vstack([X, X[:2]]), *more)
    regressor = HistGradientBoostingRegressor(**FEW, learning_rate=0.2, early_stopping=False, random_state=3)
    regressor.fit(X, relative_quality(quality, groups))
    assert (ranker.decision_function(X) == regressor.predict(X)).all()
    assert ranker.n_rows_ == len(X) and ranker.n_features_in_ == 3


def test_learns_what_holds_in_some_images_only_where_a_linear_ranker_does_not():
    X, quality, groups = problem(1, images=80)
    train, test = groups < 60, groups >= 60
    boosted, linear = (
        ranker.fit(X[train], quality[train], groups[train]).score(X[test], quality[test], groups[test])
        for ranker in (BoostedRanker(**FEW), RankSVM())
    )
    best = quality[test][oracle_picks(quality[test], groups[test])].mean()
    assert linear < quality[test].mean() + 0.1 < best - 0.1 < boosted <= best


def test_how_hard_an_image_is_teaches_nothing():
    X, quality, groups = problem(2)
    shift = np.random.default_rng(0).standard_normal(40)[groups]
    one, other = (BoostedRanker(**FEW).fit(X, q, groups).decision_function(X) for q in (quality, quality + shift))
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_same_seed_same_scores_to_the_bit_other_seed_other_columns_and_inputs_untouched():
    arrays = problem(3)
    for array in arrays:
        array.flags.writeable = False
    one, again, other = (
        BoostedRanker(**FEW, max_features=0.5, seed=seed).fit(*arrays).decision_function(arrays[0])
        for seed in (1, 1, 2)
    )
    assert (one == again).all() and (one != other).any()


def test_float32_features_rank_as_float64():
    X, quality, groups = problem(4)
    single = X.astype(np.float32)
    ranker = BoostedRanker(**FEW).fit(single, quality, groups)
    exact = BoostedRanker(**FEW).fit(single.astype(np.float64), quality, groups)
    scores = ranker.decision_function(single)
    assert scores.dtype == np.float64
    assert (scores == exact.decision_function(single.astype(np.float64))).all()


@pytest.mark.parametrize("rows", [0, 3])
def test_nothing_to_rank_gives_zeros_and_a_log_line(rows, caplog):
    with caplog.at_level(logging.WARNING):
        ranker = BoostedRanker().fit(np.ones((rows, 2)), np.array([0.5, 0.5, 0.2])[:rows], np.array([0, 0, 1])[:rows])
    assert "nothing to rank" in caplog.text and ranker.n_rows_ == 0
    assert ranker.decision_function(np.ones((2, 2))).tolist() == [0, 0]


def test_no_rows_have_no_scores():
    assert BoostedRanker(**FEW).fit(*problem()).decision_function(np.ones((0, 3))).shape == (0,)


def test_is_a_scikit_learn_estimator():
    ranker = BoostedRanker(max_iter=7)
    assert ranker.get_params()["max_iter"] == clone(ranker).max_iter == 7
    assert ranker.fit(*problem()) is ranker and ranker.model_.n_iter_ == 7
    with pytest.raises(NotFittedError):
        clone(ranker).decision_function(np.ones((1, 3)))
    with pytest.raises(ShapeError, match="2 columns, trained on 3"):
        ranker.decision_function(np.ones((1, 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, quality, groups: (X * np.nan, quality, groups), "row 0, column 0 is nan"),
        (lambda X, quality, groups: (X[:-1], quality, groups), "rows"),
        (lambda X, quality, groups: (X, quality * np.nan, groups), "NaN"),
        (lambda X, quality, groups: (X, quality * np.inf, groups), "infinity"),
        (lambda X, quality, groups: (X, quality, groups[:-1]), "groups"),
    ],
    ids=["nan", "rows", "quality nan", "quality infinite", "groups"],
)
def test_bad_input(change, message):
    with pytest.raises(ShapeError, match=message):
        BoostedRanker().fit(*change(*problem()))


@pytest.mark.parametrize(
    "options",
    [
        {"max_iter": 0},
        {"max_iter": 2.5},
        {"max_leaf_nodes": 1},
        {"min_samples_leaf": 0},
        {"learning_rate": 0.0},
        {"learning_rate": np.nan},
        {"l2_regularization": -1.0},
        {"max_features": 0.0},
        {"max_features": 1.1},
    ],
    ids=str,
)
def test_bad_options(options):
    with pytest.raises(ShapeError, match=next(iter(options))):
        BoostedRanker(**options).fit(*problem())


# The choice of a parameter, for every ranker -------------------------------------------------------------------------


def confusions_of(quality):
    """Of proposals of 100 pixels and two classes, right in about `quality` of them | (rows, 2, 2)."""
    right = np.round(100 * quality).astype(int)
    return np.stack([[right // 2, 50 - right // 2], [50 - right // 2, right // 2]]).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("estimator", "parameter", "grid"),
    [
        (RankSVM(), "C", [0.01, 1.0]),
        (StructuralSVM(), "C", [1.0, 30.0]),
        (StructuralSVM(), "max_iter", [500, 1000]),
        (BoostedRanker(min_samples_leaf=5), "max_iter", [10, 1]),
        (BoostedRanker(**FEW), "learning_rate", [1e-9, 0.3]),
    ],
    ids=["RankSVM", "StructuralSVM", "StructuralSVM max_iter", "BoostedRanker", "BoostedRanker learning_rate"],
)
def test_choice_of_any_parameter_of_any_ranker(estimator, parameter, grid):
    X, quality, groups = problem(5, images=24)
    before = estimator.get_params()
    chosen = choose_C(
        X, quality, groups, confusions_of(quality), grid=grid, parameter=parameter, folds=3, estimator=estimator
    )
    assert chosen.grid.tolist() == sorted(grid) and chosen.C in grid
    assert estimator.get_params() == before and not hasattr(estimator, "n_features_in_")
    if isinstance(estimator, BoostedRanker):
        assert max(grid) == chosen.C and chosen.accuracy[1] > chosen.accuracy[0]


def test_accuracy_of_a_structural_svm_is_that_of_its_held_out_picks():
    X, quality, groups = problem(6, images=10)
    confusions = confusions_of(quality)
    chosen = choose_C(X, quality, groups, confusions, grid=[5.0], folds=10, estimator=StructuralSVM(tol=1e-6))
    total = np.zeros((2, 2))
    for image in range(10):
        train, test = groups != image, np.flatnonzero(groups == image)
        scaler = Standardizer().fit(X[train])
        svm = StructuralSVM(C=5.0, tol=1e-6).fit(scaler.transform(X[train]), quality[train], groups[train])
        total += confusions[test[pick(svm.decision_function(scaler.transform(X[test])), groups[test])[0]]]
    iou = np.diag(total) / (total.sum(axis=0) + total.sum(axis=1) - np.diag(total))
    assert chosen.accuracy == pytest.approx(iou.mean(), rel=1e-12)


def test_an_estimator_without_the_parameter():
    X, quality, groups = problem()
    with pytest.raises(ConfigError, match=r"BoostedRanker has no 'C'; name one of .*max_iter"):
        choose_C(X, quality, groups, confusions_of(quality), estimator=BoostedRanker())


def test_a_ranker_of_a_table_may_be_a_structural_svm_but_not_boosted():
    X, quality, groups = problem(7)
    order = np.argsort(groups, kind="stable")
    X, quality, groups = X[order].astype(np.float32), quality[order], groups[order]
    names = tuple(f"image {i}" for i in range(40))
    table = FeatureTable(names, groups, np.arange(320) % 8, quality, {"all": X}, {"all": ("near", "kind", "noise")})
    fitted = fit_ranker(table, confusions_of(quality), estimator=StructuralSVM(), grid=[1.0, 10.0], splits=3)
    assert fitted.pairs == 40 * 7 and fitted.chosen.C in (1.0, 10.0)
    scaled = Standardizer().fit(X).transform(X)
    svm = StructuralSVM(C=fitted.chosen.C).fit(scaled, quality, groups)
    np.testing.assert_allclose(fitted.ranker.coefficients, svm.coef_, rtol=1e-6)
    with pytest.raises(ConfigError, match="BoostedRanker has no C"):
        fit_ranker(table, confusions_of(quality), estimator=BoostedRanker(), splits=3)
