"""Base class of all rankers, and a standardiser of their features; both follow scikit-learn's rules for estimators."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.oracle import pick

_ROWS = 1024  # checked at a time, to use little memory compared with X
_BLOCK = 4096  # rows whose float64 deviations are in memory


class LinearRanker(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base class of rankers: a subclass's `fit` sets `coef_` and `n_features_in_`; the scores are X @ coef_."""

    coef_: np.ndarray
    n_features_in_: int

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Score rows; only differences between rows of one group are meaningful.

        X       | (rows, d) | floating |
        returns | (rows,)   | float64  | larger is better

        Raises:
            ShapeError: X has no row, is not finite, or does not have the columns of `fit`.
            NotFittedError: scikit-learn's own, before `fit`.
        """
        check_is_fitted(self, "n_features_in_")
        X = self._checked(X, reset=False)
        return np.asarray(X @ self.coef_.astype(X.dtype), np.float64)  # multiplied in the precision of X

    def score(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> float:
        """Pick the row with the largest score in each group, and return their mean quality.

        X      | (rows, d) | floating |
        y      | (rows,)   | floating | quality of the proposal
        groups | (rows,)   | integer  | number of the row's image; None: all rows are of one image

        Raises:
            ShapeError, NotFittedError: see `decision_function` and `pick`.
        """
        scores = self.decision_function(X)
        groups = np.zeros(len(scores), np.int64) if groups is None else groups
        return float(np.asarray(y, np.float64)[pick(scores, groups)].mean())

    def _checked(self, X: np.ndarray, *, reset: bool) -> np.ndarray:
        """Check X by scikit-learn's rules and `check_features`, and return it as the latter does.

        With `reset`, set n_features_in_ to X's number of columns; otherwise raise a ShapeError if it differs.
        """
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
    """Check that X is a finite matrix with columns; return it C-contiguous, as float64 unless it is float32.

    Raises:
        ShapeError: X is not a matrix of numbers, has no column, or is not finite.
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


class Standardizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Computes each column's z-score, by the mean and standard deviation of the rows in `fit`, times a weight.

    A column that is constant in `fit` becomes 0 in every row, so that it has no influence; scikit-learn's
    StandardScaler returns its deviation from that constant.

    Args:
        weights: (d,), above 0; all 1 by default. A linear model with a uniform penalty relies more on columns with
            larger weights.

    Attributes:
        mean_: (d,) float64.
        scale_: (d,) float64, the standard deviation (of the population) divided by the weight; 0 if the column is
            constant.
        n_features_in_: d.
    """

    def __init__(self, weights: np.ndarray | None = None) -> None:
        self.weights = weights

    def fit(self, X: np.ndarray, y: object = None) -> Self:  # noqa: ARG002  # scikit-learn's signature
        """Compute `mean_` and `scale_` from the rows of X; return self.

        X | (rows, d) | floating | at least one row

        Raises:
            ShapeError: X is not a finite matrix, or has no row or column; or the weights are not one finite number
                above 0 per column.
        """
        X = check_features(X)
        if len(X) == 0:
            raise ShapeError("X: no rows to standardise by; give the training rows")
        weights = np.ones(X.shape[1]) if self.weights is None else np.asarray(self.weights, np.float64)
        if weights.shape != X.shape[1:] or not (np.isfinite(weights) & (weights > 0)).all():
            raise ShapeError(f"weights: give {X.shape[1]} finite numbers above 0, one per column of X")
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        blocks = (X[start : start + _BLOCK] - self.mean_ for start in range(0, len(X), _BLOCK))
        variance = np.sum([(block**2).sum(axis=0) for block in blocks], axis=0) / len(X)  # (d,)
        constant = X.min(axis=0) == X.max(axis=0)  # exact, unlike a small standard deviation
        self.scale_ = np.where(constant, 0.0, np.sqrt(variance) / weights)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: np.ndarray, *, copy: bool = True) -> np.ndarray:
        """Standardise rows.

        X       | (rows, d) | floating |
        returns | (rows, d) | float32 if X is, otherwise float64 |

        Args:
            copy: False to overwrite X and return it, if it is C-contiguous and of one of these dtypes.

        Raises:
            ShapeError: X is not a finite matrix with as many columns as in `fit`.
            NotFittedError: scikit-learn's own, before `fit`.
        """
        check_is_fitted(self, "mean_")
        X = check_features(X)
        if X.shape[1] != self.n_features_in_:
            raise ShapeError(f"X: {X.shape[1]} columns, fitted on {self.n_features_in_}; give the same features")
        inverse = np.divide(1, self.scale_, out=np.zeros_like(self.scale_), where=self.scale_ > 0)
        standard = np.subtract(X, self.mean_.astype(X.dtype), out=None if copy else X)
        standard *= inverse.astype(X.dtype)
        return standard
