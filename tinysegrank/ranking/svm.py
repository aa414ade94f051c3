"""Module 2's ranker: a linear SVM on pairs of proposals of one image."""

from __future__ import annotations

import logging
import warnings
from typing import Literal, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.estimator import LinearRanker
from tinysegrank.ranking.newton import PairwiseHinge, minimise
from tinysegrank.ranking.oracle import ranking_pairs

log = logging.getLogger(__name__)


class RankSVM(LinearRanker):
    """Linear ranking SVM with squared hinge loss, trained in the primal; larger decision values are better.

    It minimises 0.5 |w|^2 + C sum_p c_p max(0, 1 - w . (x_better - x_worse))^2 over w, where the sum is over pairs p of
    rows of the same image, and c_p is the difference in their quality. Features should be standardised first
    (`Standardizer`); features that are constant within each image cancel.

    Args:
        C: weight of the pairs' losses against the penalty on w.
        pairs: "oracle" pairs each image's best proposal with the others, "all" each proposal with every worse one.
        tol: stop at this norm of the gradient, relative to that at w = 0.
        max_iter: largest number of Newton steps; about ten are usual.
        warm_start: start from the coefficients of the previous fit; the optimum is the same.

    Attributes:
        coef_: (d,) float64.
        n_features_in_: d.
        n_pairs_: number of pairs of rows that were compared; 0 leaves coef_ at 0.
        n_iter_: number of Newton steps.
        objective_: value of the objective at coef_.

    The images' numbers, `groups`, are metadata to scikit-learn, whose cross-validation passes them on if asked to:

        >>> import numpy as np, sklearn
        >>> from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
        >>> from tinysegrank.ranking import RankSVM
        >>> rng = np.random.default_rng(0)
        >>> groups = np.repeat(np.arange(40), 10)  # ten proposals of each of 40 images
        >>> X = rng.standard_normal((400, 5))
        >>> quality = X @ [0.3, 0.2, 0, 0, -0.1] + rng.standard_normal(400) / 5
        >>> with sklearn.config_context(enable_metadata_routing=True):
        ...     svm = RankSVM(C=1e-3).set_fit_request(groups=True).set_score_request(groups=True)
        ...     scores = cross_val_score(svm, X, quality, params={"groups": groups}, cv=GroupKFold(5))
        ...     search = GridSearchCV(svm, {"C": [1e-6, 1e-3]}, cv=GroupKFold(5)).fit(X, quality, groups=groups)
        >>> scores.shape, bool((scores > quality.mean()).all())
        ((5,), True)
        >>> search.best_params_
        {'C': 0.001}

    Paper: section 4, "SegNet+SVM", which leaves the pairs, their weights and C open.
    Source: Chapelle and Keerthi, "Efficient algorithms for ranking with SVMs", Information Retrieval 2010.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        pairs: Literal["oracle", "all"] = "oracle",
        tol: float = 1e-5,
        max_iter: int = 100,
        warm_start: bool = False,
    ) -> None:
        self.C = C
        self.pairs = pairs
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """Learn to rank the rows of each group by quality; return self.

        X      | (rows, d) | float32 or float64 | features; other dtypes become float64
        y      | (rows,)   | floating           | quality of the proposal (metrics.image_iou); larger is better
        groups | (rows,)   | integer            | number of the row's image, in any order; None: all rows are of one

        If no group has rows whose qualities differ by 0.001 or more, the coefficients are 0 and a warning is logged. If
        `tol` is not reached in `max_iter` steps, scikit-learn's ConvergenceWarning is given.

        Raises:
            ShapeError: the arrays do not fit, are empty or not finite, or an option is unknown or out of range.
        """
        if not (np.isfinite(self.C) and self.C > 0):
            raise ShapeError(f"C: {self.C} is not a finite number above 0")
        if not (0 < self.tol < 1 and self.max_iter >= 1):
            raise ShapeError(f"tol, max_iter: {self.tol}, {self.max_iter}; give 0 < tol < 1 and max_iter of 1 or more")
        if y is None:
            raise ShapeError("RankSVM requires y to be passed, but the target y is None: give qualities")
        before = getattr(self, "n_features_in_", None)
        X = self._checked(X, reset=True)
        if len(X) != len(np.atleast_1d(y)):
            raise ShapeError(f"X, y: {len(X)} and {np.size(y)} rows; give one quality per row")
        groups = np.zeros(len(X), np.int64) if groups is None else groups
        pairs = ranking_pairs(y, groups, pairs=self.pairs)
        self.n_pairs_ = len(pairs.difference)
        if not self.n_pairs_:
            log.warning("no two proposals of an image differ in quality: nothing to rank, all coefficients are 0")
            self.coef_, self.n_iter_, self.objective_ = np.zeros(X.shape[1]), 0, 0.0
            return self
        start = self.coef_ if self.warm_start and before == X.shape[1] else np.zeros(X.shape[1])
        objective = PairwiseHinge(X, pairs, pairs.difference, self.C)
        solution = minimise(objective, start, tol=self.tol, max_iter=self.max_iter)
        self.coef_, self.objective_, self.n_iter_ = solution.w, solution.value, solution.steps
        if not solution.converged:
            unfinished = f"stopped after {solution.steps} Newton steps short of tol={self.tol}; raise max_iter or tol"
            warnings.warn(unfinished, ConvergenceWarning, stacklevel=2)
        return self
