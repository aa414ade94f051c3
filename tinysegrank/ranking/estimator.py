"""Base classes of all rankers: check features, score rows, and measure the quality of the rows picked.

They follow scikit-learn's rules, and `check_estimator` passes. The numbers of the images are metadata, `groups`, that
scikit-learn hands on where it is asked to; `RankSVM` has an example.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.oracle import pick

log = logging.getLogger(__name__)
_ROWS = 1024  # checked at a time, to use little memory compared with X


class LinearRanker(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A scikit-learn estimator whose `fit` sets `coef_` and `n_features_in_`; its scores are X @ coef_."""

    coef_: np.ndarray
    n_features_in_: int

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Score rows; only differences between rows of one group are meaningful.

        X       | (rows, d) | floating |
        returns | (rows,)   | float64  | larger is better

        Raises:
            ShapeError: X is not finite or does not have the columns that were trained on.
            NotFittedError: scikit-learn's own, before `fit`.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "n_features_in_")
        X = self._checked(X, reset=False)
        return np.asarray(X @ self.coef_.astype(X.dtype), np.float64)  # multiplied in the precision of X

    def score(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> float:
        """Return the mean quality of the rows picked, one of each group; the arguments are those of `fit`."""
        scores = self.decision_function(X)
        return float(np.asarray(y, np.float64)[pick(scores, _of_one(groups, len(scores)))].mean())

    def _checked(self, X: np.ndarray, *, reset: bool) -> np.ndarray:
        """Return X as `check_features` does, by scikit-learn's rules; `reset` sets n_features_in_ instead of comparing.

        Raises:
            ShapeError: scikit-learn's own ValueError, in one line.
        """
        from sklearn.utils.validation import validate_data

        kinds = [np.float64, np.float32]  # the first is what others become
        try:
            X = validate_data(self, X, reset=reset, dtype=kinds, order="C", ensure_all_finite=False)
        except ValueError as error:
            raise ShapeError(f"X: {' '.join(str(error).split())}") from error
        return check_features(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class ConvexRanker(LinearRanker):
    """A linear ranker that minimises 0.5 |w|^2 + C * a convex loss.

    A subclass has the parameters below, `_problem` and `_minimise`.

    Args:
        C: weight of the loss against the penalty on w.
        tol: precision at which to stop.
        max_iter: largest number of steps.
        warm_start: start from the coefficients of the previous fit; the optimum is the same.

    Attributes:
        coef_: (d,) float64.
        n_features_in_: d.
        n_pairs_: number of pairs of rows that were compared; 0 leaves coef_ at 0.
        n_iter_: number of steps.
        objective_: smallest value found.
    """

    C: float
    tol: float
    max_iter: int
    warm_start: bool
    n_pairs_: int
    n_iter_: int
    objective_: float

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """Learn to rank the rows of each group by quality.

        X      | (rows, d) | float32 or float64 | features; kept in its dtype, other dtypes become float64
        y      | (rows,)   | floating           | quality of the proposal (metrics.image_iou); larger is better
        groups | (rows,)   | integer            | number of the row's image, in any order; None: all of one

        Without rows of different quality in any group, the coefficients are 0 and a line is logged.

        Raises:
            ShapeError: the arrays do not fit or are not finite, or an option is unknown or out of range.
        """
        if not (np.isfinite(self.C) and self.C > 0):
            raise ShapeError(f"C: {self.C} is not a finite number above 0")
        if not (0 < self.tol < 1 and self.max_iter >= 1):
            raise ShapeError(f"tol, max_iter: {self.tol}, {self.max_iter}; give 0 < tol < 1 and max_iter of 1 or more")
        if y is None:
            raise ShapeError(f"{type(self).__name__} requires y to be passed, but the target y is None: give qualities")
        before = getattr(self, "n_features_in_", None)
        X = self._checked(X, reset=True)
        if len(X) != len(np.atleast_1d(y)):
            raise ShapeError(f"X, y: {len(X)} and {np.size(y)} rows; give one quality per row")
        problem, self.n_pairs_ = self._problem(X, y, _of_one(groups, len(X)))
        start = self.coef_ if self.warm_start and before == X.shape[1] else np.zeros(X.shape[1])
        if not self.n_pairs_:
            log.warning("no two proposals of an image differ in quality: nothing to rank, all coefficients are 0")
            self.coef_, self.n_iter_, self.objective_ = np.zeros(X.shape[1]), 0, 0.0
        elif unfinished := self._minimise(problem, start):
            from sklearn.exceptions import ConvergenceWarning

            warnings.warn(unfinished, ConvergenceWarning, stacklevel=2)
        return self

    def _problem(self, X: np.ndarray, quality: np.ndarray, groups: np.ndarray) -> tuple[Any, int]:
        """Return the problem that `_minimise` solves, and the number of pairs of rows compared."""
        raise NotImplementedError

    def _minimise(self, problem: Any, start: np.ndarray) -> str:
        """Set coef_, n_iter_, objective_ and any attribute that only the subclass has.

        Return "", or a warning if it stopped before `tol` was reached.
        """
        raise NotImplementedError


def _of_one(groups: np.ndarray | None, rows: int) -> np.ndarray:
    """Return the groups, or zeros, which make all rows those of one image, if they are None."""
    return np.zeros(rows, np.int64) if groups is None else groups


def check_features(X: np.ndarray) -> np.ndarray:
    """Check that X is a finite non-empty matrix, and return it contiguous, as float32 or float64.

    Raises:
        ShapeError: another rank, no column, not numbers, NaN or infinity.
    """
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] == 0 or X.dtype.kind not in "fiub":
        raise ShapeError(f"X: shape {X.shape}, dtype {X.dtype}; give a matrix of numbers (rows, columns)")
    X = np.ascontiguousarray(X, X.dtype if X.dtype in (np.float32, np.float64) else np.float64)
    for start in range(0, len(X), _ROWS):
        finite = np.isfinite(X[start : start + _ROWS])
        if not finite.all():
            row, column = (int(index) for index in np.argwhere(~finite)[0] + [start, 0])
            raise ShapeError(
                f"X: row {row}, column {column} is {X[row, column]}; fill or drop what could not be measured (NaN, inf)"
            )
    return X
