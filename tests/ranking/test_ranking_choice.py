"""The choice of C for every kind of ranker."""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.ranking import FeatureTable, RankSVM, Standardizer, StructuralSVM, choose_C, fit_ranker, pick


def problem(seed=0, images=40, proposals=8):
    """The first feature tells the quality, with the sign of the second, the image's kind; the third is noise."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(images), proposals))
    X = rng.standard_normal((len(groups), 3))
    X[:, 1] = np.where(groups % 2, 1, -1)
    quality = 1 / (1 + np.exp(-X[:, 0] * X[:, 1] + rng.standard_normal(images)[groups]))
    return X, quality, groups


def confusions_of(quality):
    """Of proposals of 100 pixels and two classes, right in about `quality` of them | (rows, 2, 2)."""
    right = np.round(100 * quality).astype(int)
    return np.stack([[right // 2, 50 - right // 2], [50 - right // 2, right // 2]]).transpose(2, 0, 1)


@pytest.mark.parametrize(("estimator", "grid"), [(RankSVM(), [1.0, 0.01]), (StructuralSVM(), [30.0, 1.0])])
def test_choice_leaves_the_estimator_as_it_was(estimator, grid):
    X, quality, groups = problem(5, images=24)
    before = estimator.get_params()
    chosen = choose_C(X, quality, groups, confusions_of(quality), grid=grid, folds=3, estimator=estimator)
    assert chosen.grid.tolist() == sorted(grid) and chosen.C in grid
    assert estimator.get_params() == before and not hasattr(estimator, "n_features_in_")


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


def test_a_ranker_of_a_table_may_be_a_structural_svm():
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
