"""Scale features to zero mean and unit variance over the training rows; constant columns become 0."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.estimator import check_features

_ROWS = 4096  # at a time, so that the float64 deviations take little memory


class Standardizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Computes the z-score of each column, with the statistics of the rows in `fit`.

    A column that is constant in training is 0 for every row, so that it has no influence; scikit-learn's StandardScaler
    returns its deviation from that constant.

    Args:
        weights: (d,), above 0: factors of the standardised columns; 1 by default. A linear model with a uniform
            penalty relies more on columns with larger weights.

    Attributes:
        mean_: (d,) float64.
        scale_: (d,) float64, the standard deviation (of the population) divided by the weight; 0 if the column is
            constant.
        n_features_in_: d.
    """

    def __init__(self, weights: np.ndarray | None = None) -> None:
        self.weights = weights

    def fit(self, X: np.ndarray, y: object = None) -> Self:  # noqa: ARG002  # scikit-learn's signature
        """Compute mean and scale from the rows of X.

        X | (rows, d) | floating | at least one row

        Raises:
            ShapeError: X is not a finite matrix or has no row, or the weights are not one per column and above 0.
        """
        X = check_features(X)
        if len(X) == 0:
            raise ShapeError("X: no rows to standardise by; give the training rows")
        weights = np.ones(X.shape[1]) if self.weights is None else np.asarray(self.weights, np.float64)
        if weights.shape != X.shape[1:] or not (np.isfinite(weights) & (weights > 0)).all():
            raise ShapeError(f"weights: give {X.shape[1]} finite numbers above 0, one per column of X")
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        blocks = (X[start : start + _ROWS] - self.mean_ for start in range(0, len(X), _ROWS))
        variance = np.sum([(block**2).sum(axis=0) for block in blocks], axis=0) / len(X)  # (d,)
        constant = X.min(axis=0) == X.max(axis=0)  # exact, unlike a small standard deviation
        self.scale_ = np.where(constant, 0.0, np.sqrt(variance) / weights)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: np.ndarray, *, copy: bool = True) -> np.ndarray:
        """Standardise rows.

        X       | (rows, d) | floating |
        returns | (rows, d) | float32 or float64, as X | a new array; with copy=False X itself, if it is one of these

        Raises:
            ShapeError: X is not a finite matrix with as many columns as in `fit`.
            NotFittedError: scikit-learn's own, before `fit`.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "mean_")
        X = check_features(X)
        if X.shape[1] != self.n_features_in_:
            raise ShapeError(f"X: {X.shape[1]} columns, fitted on {self.n_features_in_}; give the same features")
        inverse = np.divide(1, self.scale_, out=np.zeros_like(self.scale_), where=self.scale_ > 0)
        standard = np.subtract(X, self.mean_.astype(X.dtype), out=None if copy else X)
        standard *= inverse.astype(X.dtype)
        return standard
