"""Base class of all rankers: check features, score rows, and measure the quality of the rows picked.

They follow scikit-learn's rules, and `check_estimator` passes. The numbers of the images are metadata, `groups`, that
scikit-learn hands on where it is asked to; `RankSVM` has an example.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.oracle import pick

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
        groups = np.zeros(len(scores), np.int64) if groups is None else groups
        return float(np.asarray(y, np.float64)[pick(scores, groups)].mean())

    def _checked(self, X: np.ndarray, *, reset: bool) -> np.ndarray:
        """Return X as `check_features` does, by scikit-learn's rules; `reset` sets n_features_in_."""
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


def check_features(X: np.ndarray) -> np.ndarray:
    """Check that X is a finite matrix with columns, and return it contiguous, as float32 or float64."""
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
