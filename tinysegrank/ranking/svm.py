"""Module 2's ranker: a linear SVM on pairs of proposals of one image."""

from __future__ import annotations

import logging
import warnings
from typing import Literal, Self

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.estimator import LinearRanker, check_training
from tinysegrank.ranking.newton import PairwiseHinge, minimise
from tinysegrank.ranking.pairs import ranking_pairs

log = logging.getLogger(__name__)


class RankSVM(LinearRanker):
    """Linear ranking SVM with squared hinge loss, trained in the primal; larger decision values are better.

    It minimises 0.5 |w|^2 + C sum_p c_p max(0, 1 - w . (x_better - x_worse))^2 over pairs p of rows of one image.
    Features should be standardised first (`Standardizer`); features that are constant within each image cancel.

    Args:
        C: weight of the pairs' losses against the penalty on w.
        pairs: "oracle" pairs each image's best proposal with the others, "all" each proposal with every worse one.
        weighting: "difference" weighs a pair by its difference in quality, "uniform" by 1.
        min_difference: pairs closer than this in quality are left out.
        tol: stop at this norm of the gradient, relative to that at w = 0.
        max_iter: largest number of Newton steps; about ten are usual.
        warm_start: start from the coefficients of the previous fit; the optimum is the same.

    Attributes:
        coef_: (d,) float64.
        n_features_in_: d.
        n_pairs_: number of pairs trained on; 0 leaves coef_ at 0.
        n_iter_: number of Newton steps.
        objective_: smallest value found.

    Paper: section 4, "SegNet+SVM", which leaves the pairs, their weights and C open.
    Source: Chapelle and Keerthi, "Efficient algorithms for ranking with SVMs", Information Retrieval 2010.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        pairs: Literal["oracle", "all"] = "oracle",
        weighting: Literal["difference", "uniform"] = "difference",
        min_difference: float = 1e-3,
        tol: float = 1e-5,
        max_iter: int = 100,
        warm_start: bool = False,
    ) -> None:
        self.C = C
        self.pairs = pairs
        self.weighting = weighting
        self.min_difference = min_difference
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def fit(self, X: np.ndarray, quality: np.ndarray, groups: np.ndarray) -> Self:
        """Learn to rank the rows of each group by quality.

        X       | (rows, d) | float32 or float64 | features; kept in its dtype, other dtypes become float64
        quality | (rows,)   | floating           | accuracy of the proposal alone (metrics.image_iou); larger is better
        groups  | (rows,)   | integer            | number of the row's image; its rows need not be adjacent

        Groups whose rows all have the same quality have no pairs. Without any pair the coefficients are 0 and a line is
        logged.

        Raises:
            ShapeError: the arrays do not fit or are not finite, or an option is unknown or out of range.
        """
        self._check_options()
        X = check_training(X, quality)
        pairs = ranking_pairs(quality, groups, pairs=self.pairs, min_difference=self.min_difference)
        weights = pairs.difference if self.weighting == "difference" else np.ones_like(pairs.difference)
        start = self._start(X.shape[1], warm=self.warm_start)
        self.n_features_in_, self.n_pairs_ = X.shape[1], len(weights)
        if not self.n_pairs_:
            log.warning("no two proposals of an image differ in quality: nothing to rank, all coefficients are 0")
            self.coef_, self.n_iter_, self.objective_ = np.zeros(X.shape[1]), 0, 0.0
            return self
        solution = minimise(PairwiseHinge(X, pairs, weights, self.C), start, tol=self.tol, max_iter=self.max_iter)
        if not solution.converged:
            from sklearn.exceptions import ConvergenceWarning

            message = f"stopped after {solution.steps} Newton steps short of tol={self.tol}; raise max_iter or tol"
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
        self.coef_, self.objective_, self.n_iter_ = solution.w, solution.value, solution.steps
        return self

    def _check_options(self) -> None:
        if not (np.isfinite(self.C) and self.C > 0):
            raise ShapeError(f"C: {self.C} is not a finite number above 0")
        if self.weighting not in ("difference", "uniform"):
            raise ShapeError(f"weighting: {self.weighting!r} is neither 'difference' nor 'uniform'")
        if not (0 < self.tol < 1 and self.max_iter >= 1):
            raise ShapeError(f"tol, max_iter: {self.tol}, {self.max_iter}; give 0 < tol < 1 and max_iter of 1 or more")
