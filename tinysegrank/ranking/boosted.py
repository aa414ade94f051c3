"""A ranker that is not linear, to compare with: regression trees, boosted, for how good a proposal is in its image."""

from __future__ import annotations

import logging
from typing import Self

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.estimator import GroupRanker, check_training
from tinysegrank.ranking.oracle import check_groups

log = logging.getLogger(__name__)


class BoostedRanker(GroupRanker):
    """Boosted regression trees (scikit-learn's HistGradientBoostingRegressor); larger decision values are better.

    They learn a proposal's quality less the mean of its image's proposals, so that how hard an image is teaches them
    nothing. Unlike a linear ranker, trees can take what is the same for all proposals of an image (its classes, its
    size) as a condition under which other features count. Standardising changes nothing but rounding.

    There is no way to store the trees short of pickle, which this library does not read. So store the scores of the
    rows that are to be ranked, `decision_function(X)`, in place of a linear ranker's coefficients, and fit again for
    others: the same data and seed give the same trees. Training takes a float64 copy of X. It uses all cores; where
    others use them too, `one_blas_thread(ranker.fit, ...)` is faster, as threads that wait for each other cost most.

    Args:
        max_iter: trees.
        learning_rate: part of each tree that is added.
        max_leaf_nodes: leaves of a tree.
        min_samples_leaf: fewest rows in a leaf.
        l2_regularization: penalty on the leaves' values.
        max_features: part of the columns, drawn anew, that each split looks at: less than 1 is faster where there are
            hundreds.
        seed: of the columns drawn, and of the rows that the bins' borders are taken from where there are over 200,000.

    Attributes:
        model_: the fitted regressor.
        n_features_in_: d.
        n_rows_: rows of groups whose qualities differ; only these are trained on. 0 leaves all scores at 0.

    Source: Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 2001. The paper
    ranks by a linear SVM alone; this one, its target and its options are our choice.
    """

    def __init__(
        self,
        *,
        max_iter: int = 100,
        learning_rate: float = 0.1,
        max_leaf_nodes: int = 31,
        min_samples_leaf: int = 20,
        l2_regularization: float = 0.0,
        max_features: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_features = max_features
        self.seed = seed

    def fit(self, X: np.ndarray, quality: np.ndarray, groups: np.ndarray) -> Self:
        """Learn the quality of rows relative to their group.

        X       | (rows, d) | float32 or float64 | features; other dtypes become float64
        quality | (rows,)   | floating           | accuracy of the proposal alone (metrics.image_iou); larger is better
        groups  | (rows,)   | integer            | number of the row's image; its rows need not lie together

        Groups whose rows are all of one quality are left out. Where all are, every score is 0 and a line is logged.

        Raises:
            ShapeError: the arrays do not fit or are not finite, or an option is out of range.
        """
        from sklearn.ensemble import HistGradientBoostingRegressor

        self._check_options()
        X = check_training(X, quality)
        relative = relative_quality(quality, groups)
        kept = np.flatnonzero(~np.isnan(relative))
        self.n_features_in_, self.n_rows_ = X.shape[1], len(kept)
        if not self.n_rows_:
            log.warning("no two proposals of an image differ in quality: nothing to rank, all scores are 0")
            return self
        self.model_ = HistGradientBoostingRegressor(
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            max_features=self.max_features,
            early_stopping=False,  # it would hold out rows, not images
            random_state=self.seed,
        ).fit(X if len(kept) == len(X) else X[kept], relative[kept])
        return self

    def _scores(self, X: np.ndarray) -> np.ndarray:
        if not self.n_rows_ or not len(X):
            return np.zeros(len(X))
        return np.asarray(self.model_.predict(X))

    def _check_options(self) -> None:
        counts = {"max_iter": 1, "max_leaf_nodes": 2, "min_samples_leaf": 1}
        for name, least in counts.items():
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise ShapeError(f"{name}: {value}; give a whole number of {least} or more")
        if not (np.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ShapeError(f"learning_rate: {self.learning_rate} is not a finite number above 0")
        if not (np.isfinite(self.l2_regularization) and self.l2_regularization >= 0):
            raise ShapeError(f"l2_regularization: {self.l2_regularization} is not a finite number of 0 or more")
        if not 0 < self.max_features <= 1:
            raise ShapeError(f"max_features: {self.max_features}; give a part of the columns, above 0 and at most 1")


def relative_quality(quality: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return quality less its mean over the row's group, NaN for the rows of groups that are all of one quality.

    quality | (rows,) | floating | finite
    groups  | (rows,) | integer  | number of the row's image
    returns | (rows,) | float64  |

    Raises:
        ShapeError: the arrays do not fit, or a quality is not finite.
    """
    quality, groups = check_groups("quality", quality, groups)
    if not np.isfinite(quality).all():
        raise ShapeError("quality: holds infinity; give accuracies")
    names, group = np.unique(groups, return_inverse=True)
    total, least, most = np.zeros(len(names)), np.full(len(names), np.inf), np.full(len(names), -np.inf)
    np.add.at(total, group, quality)
    np.minimum.at(least, group, quality)
    np.maximum.at(most, group, quality)
    mean = total / np.maximum(np.bincount(group, minlength=len(names)), 1)  # (groups,)
    return np.where((least < most)[group], quality - mean[group], np.nan)
