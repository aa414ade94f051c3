"""Choose the C of a ranking SVM by the corpus IoU of its picks on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.metrics import Confusion
from tinysegrank.metrics.confusion import check_chosen
from tinysegrank.parallel import jobs_that_fit, parallel_map
from tinysegrank.ranking.oracle import check_groups, pick
from tinysegrank.stored_rows import StoredRows, row_blocks
from tinysegrank.voc import assign_folds

if TYPE_CHECKING:
    from tinysegrank.ranking.estimator import LinearRanker  # scikit-learn, which takes most of a second to import

C_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class ChosenC(NamedTuple):
    """The C with the best accuracy (of equals the smallest), the values tried, and the accuracy of each.

    grid     | (n,) | float64 | ascending
    accuracy | (n,) | float64 | mean corpus IoU of the held-out picks, 0..1
    """

    C: float
    grid: np.ndarray
    accuracy: np.ndarray


def choose_C(  # noqa: N802  # C is the field's name
    X: np.ndarray | StoredRows,
    quality: np.ndarray,
    groups: np.ndarray,
    confusions: np.ndarray | StoredRows,
    *,
    grid: Sequence[float] = C_GRID,
    folds: int = 5,
    seed: int = 0,
    estimator: LinearRanker | None = None,
    weights: np.ndarray | None = None,
    classes: Sequence[int] | None = None,
    jobs: int = 1,
    advance: Callable[[int], None] | None = None,
) -> ChosenC:
    """Choose a ranker's C by cross-validation over images.

    An estimator trained on the other folds picks the best row of each image in a fold; features are standardised by the
    other folds alone. For each C, the confusion matrices of the rows picked in all folds are added up, and the accuracy
    is the mean corpus IoU of the sum, the measure that VOC reports.

    X          | (rows, d)    | floating | features, not standardised
    quality    | (rows,)      | floating | accuracy of the proposal alone
    groups     | (rows,)      | integer  | number of the row's image
    confusions | (rows, K, K) | integer  | pixels of the proposal alone (metrics.image_confusions)

    Args:
        grid: values of C to choose from; with a thousand columns take smaller ones, as `RANKERS` has them.
        folds: number of folds; images are assigned by their group's number and `seed`.
        seed: random seed of the folds.
        estimator: estimator to train, whose C is replaced; RankSVM() by default. If it has warm_start, each value of
            the grid starts from the solution of the one before.
        weights: (d,), weights of the standardised columns, see `Standardizer`; all 1 by default.
        classes: classes to average over; all by default. Classes absent from the truth are skipped.
        jobs: largest number of worker processes, one fold each; the result does not depend on it. Fewer run at once
            if their rows would take more than 2.7 GB together.
        advance: called with 1 for each fold done.

    Raises:
        ShapeError: the arrays do not fit or are not finite, an option is out of range, or none of the classes is in the
            truth.
        ConfigError: there are fewer than two folds or more folds than images, a class is out of range or duplicated, or
            the estimator has no C.

    Source: paper, section 5 (the measure); the protocol is our choice.
    """
    from tinysegrank.ranking.estimator import check_features
    from tinysegrank.ranking.svm import RankSVM

    X = X if isinstance(X, StoredRows) else check_features(X)  # workers check what they read
    quality, groups = check_groups("quality", quality, groups)
    confusions = confusions if isinstance(confusions, StoredRows) else np.asarray(confusions)
    if confusions.ndim != 3 or confusions.shape != (len(groups), *confusions.shape[1:2] * 2):
        raise ShapeError(f"confusions, groups: shapes {confusions.shape}, {groups.shape}; give one matrix per row")
    if len(X) != len(groups):
        raise ShapeError(f"X, groups: shapes {X.shape}, {groups.shape}; give one row per proposal")
    check_chosen(classes, confusions.shape[1])
    candidates = sorted(set(grid))
    if not candidates or not all(np.isfinite(C) and C > 0 for C in candidates):
        raise ShapeError(f"grid: {list(grid)}; give finite values above 0")
    estimator = estimator or RankSVM()
    if "C" not in estimator.get_params():
        raise ConfigError(f"estimator: {type(estimator).__name__} has no C to choose; fit it by itself")
    images, image = np.unique(groups, return_inverse=True)
    fold = assign_folds([str(name) for name in images], folds, seed=seed)[image]  # (rows,)
    work = partial(_held_out_picks, X, quality, groups, fold, candidates, estimator, weights)
    jobs = jobs_that_fit(jobs, int(np.bincount(fold).max()) * (folds - 1) * X.shape[1] * X.dtype.itemsize)
    parts = parallel_map(work, range(folds), jobs=jobs, on_cluster=False, advance=advance)
    picks = np.concatenate(list(parts), axis=1)  # (n, images)
    accuracy = np.array([Confusion.of(confusions[rows]).mean_iou(classes=classes).value for rows in picks])
    if np.isnan(accuracy).all():
        raise ShapeError("classes: none is in the truth of these images; choose others")
    return ChosenC(candidates[int(np.argmax(accuracy))], np.array(candidates), accuracy)


def _held_out_picks(
    X: np.ndarray | StoredRows,
    quality: np.ndarray,
    groups: np.ndarray,
    fold: np.ndarray,
    candidates: Sequence[float],
    estimator: LinearRanker,
    weights: np.ndarray | None,
    held_out: int,
) -> np.ndarray:
    """Train on all folds but `held_out` with each of n values of C; return the picks in `held_out`: (n, images)."""
    from sklearn.base import clone

    from tinysegrank.ranking.estimator import Standardizer

    train, test = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
    X_train = X[train]
    standardizer = Standardizer(weights).fit(X_train)
    X_train = standardizer.transform(X_train, copy=False)
    ranker = clone(estimator)
    if "warm_start" in ranker.get_params():
        ranker.set_params(warm_start=True)  # from each C to the next larger one
    picks = []
    for C in candidates:
        ranker.set_params(C=C).fit(X_train, quality[train], groups[train])
        scores = [ranker.decision_function(standardizer.transform(X[rows])) for rows in row_blocks(test)]
        picks.append(test[pick(np.concatenate(scores), groups[test])])
    return np.stack(picks)
