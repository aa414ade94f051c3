"""Base classes of all rankers: check features, score rows, and measure the quality of the rows picked."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.oracle import pick

_ROWS = 1024  # checked at a time, to use little memory compared with X


class GroupRanker(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A scikit-learn estimator whose `fit` sets `n_features_in_` and whose `_scores` are larger for better rows."""

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
        X = check_features(X)
        if X.shape[1] != self.n_features_in_:
            raise ShapeError(f"X: {X.shape[1]} columns, trained on {self.n_features_in_}; give the same features")
        return np.asarray(self._scores(X), np.float64)

    def score(self, X: np.ndarray, quality: np.ndarray, groups: np.ndarray) -> float:
        """Return the mean quality of the rows picked, one of each group; the arguments are those of `fit`."""
        return float(np.asarray(quality, np.float64)[pick(self.decision_function(X), groups)].mean())

    def _scores(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class LinearRanker(GroupRanker):
    """A ranker whose scores are X @ coef_, in the precision of X."""

    coef_: np.ndarray

    def _scores(self, X: np.ndarray) -> np.ndarray:
        return X @ self.coef_.astype(X.dtype)

    def _start(self, d: int, *, warm: bool) -> np.ndarray:
        """Return the previous coefficients if warm_start is set and their number fits, else 0: (d,) float64."""
        return self.coef_ if warm and getattr(self, "n_features_in_", None) == d else np.zeros(d)


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
                f"X: row {row}, column {column} is {X[row, column]}; fill or drop what could not be measured"
            )
    return X


def check_training(X: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Check that X has one row per quality, and return it as `check_features` does.

    Raises:
        ShapeError: see `check_features`; or the numbers of rows differ.
    """
    X = check_features(X)
    if X.shape[0] != len(np.atleast_1d(quality)):
        raise ShapeError(f"X, quality: {len(X)} and {np.size(quality)} rows; give one quality per row")
    return X
