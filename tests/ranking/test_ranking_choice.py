"""The choice of C."""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.ranking import RankSVM, Standardizer, choose_C, pick


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


def test_choice_leaves_the_estimator_as_it_was():
    X, quality, groups = problem(5, images=24)
    estimator, grid = RankSVM(), [1.0, 0.01]
    before = estimator.get_params()
    chosen = choose_C(X, quality, groups, confusions_of(quality), grid=grid, folds=3, estimator=estimator)
    assert chosen.grid.tolist() == sorted(grid) and chosen.C in grid
    assert estimator.get_params() == before and not hasattr(estimator, "n_features_in_")


def test_accuracy_is_that_of_its_held_out_picks():
    X, quality, groups = problem(6, images=10)
    confusions = confusions_of(quality)
    chosen = choose_C(X, quality, groups, confusions, grid=[5.0], folds=10, estimator=RankSVM(tol=1e-6))
    total = np.zeros((2, 2))
    for image in range(10):
        train, test = groups != image, np.flatnonzero(groups == image)
        scaler = Standardizer().fit(X[train])
        svm = RankSVM(C=5.0, tol=1e-6).fit(scaler.transform(X[train]), quality[train], groups[train])
        total += confusions[test[pick(svm.decision_function(scaler.transform(X[test])), groups[test])[0]]]
    iou = np.diag(total) / (total.sum(axis=0) + total.sum(axis=1) - np.diag(total))
    assert chosen.accuracy == pytest.approx(iou.mean(), rel=1e-12)
