"""Linear support vector regression by Newton's method: errors cost the square of their excess over epsilon.

The function of w that is minimised is strictly convex and piecewise quadratic; there is no bias:

    0.5 |w|^2 + C sum_i max(0, |x_i . w - y_i| - epsilon)^2

Only X_A, the rows with errors above epsilon, enter the Hessian, 1 + 2 C X_A^T X_A. For overlaps of segments these are a
few per cent, so a step costs little more than a product with X, which is neither copied nor converted. Regressions on
the same X take their steps together: X may be larger than memory, and is read once for the products of all of them. The
tests compare with scikit-learn's LinearSVR, which minimises the same function.

Source: Ho and Lin, "Large-scale linear support vector regression", JMLR 2012, for the objective.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tinysegrank.stored_rows import RowFile, row_blocks

_ROWS = 2**15  # multiplied at a time


class Regression(NamedTuple):
    """The coefficients (P,), the number of Newton steps taken, and whether these were enough to converge."""

    w: np.ndarray
    steps: int
    converged: bool


def fit_regression(X: np.ndarray, y: np.ndarray, **options: Any) -> Regression:
    """Fit one regression to a single y (N,): see `fit_regressions`."""
    return fit_regressions(X, y[:, None], **options)[0]


def fit_regressions(
    X: np.ndarray | RowFile,
    Y: np.ndarray,
    *,
    centre: ArrayLike = 0.0,
    C: float = 3.0,
    epsilon: float = 0.25,
    tol: float = 1e-4,
    max_iter: int = 100,
) -> list[Regression]:
    """Fit a support vector regression X w to each column of Y; return a Regression for each.

    X      | (N, P)     | float32 or float64 | products with it are computed in its dtype
    Y      | (N, K)     | floating           |
    centre | (K,) or () | float64            | subtracted from the columns of Y

    A regression ends once its gradient is at most `tol` times as long as at w = 0, after `max_iter` steps, or once
    rounding keeps the objective from falling.

    Args:
        C: weight of the squared errors against half the squared length of w.
        epsilon: errors up to this size are not penalised.
    """
    centres = np.broadcast_to(np.asarray(centre, np.float64), Y.shape[1:])
    fits = [_newton(X, y, c, C, epsilon, tol, max_iter) for y, c in zip(Y.T, centres, strict=True)]
    found: dict[int, Regression] = {}
    products: dict[int, Any] = dict.fromkeys(range(len(fits)))
    while products:
        vectors = {}
        for k in list(products):
            try:
                vectors[k] = fits[k].send(products.pop(k))
            except StopIteration as end:
                found[k] = end.value
        products = {k: np.empty(len(X), X.dtype) for k in vectors}
        for rows in row_blocks(len(X) if vectors else 0, _ROWS):
            block = _read(X, rows)
            for k, vector in vectors.items():
                products[k][rows] = block @ vector
    return [found[k] for k in range(len(fits))]


def _read(X: np.ndarray | RowFile, rows: np.ndarray) -> np.ndarray:
    """Return adjacent rows: a view of an array, or read from a file."""
    return X[rows[0] : rows[-1] + 1] if isinstance(X, np.ndarray) and len(rows) else X[rows]


def _newton(
    X: np.ndarray | RowFile, y: np.ndarray, centre: float, C: float, epsilon: float, tol: float, max_iter: int
) -> Generator[np.ndarray, np.ndarray, Regression]:
    """Fit one regression, as a generator: it yields vectors v, and expects the product X v to be sent for each."""
    w = np.zeros(X.shape[1])
    residual = centre - y.astype(np.float64)  # X w - y, if y is without the centre
    value = _value(w, residual, C, epsilon)
    scale = 0.0
    for steps in range(max_iter + 1):
        excess = np.copysign(np.maximum(np.abs(residual) - epsilon, 0), residual)  # (N,)
        outside = np.flatnonzero(excess)
        held = X[outside] if len(outside) <= _ROWS else None  # (A, P)
        sums = np.zeros(len(w), X.dtype)
        for rows in row_blocks(outside, _ROWS):
            sums += excess[rows].astype(X.dtype) @ (X[rows] if held is None else held)
        gradient = w + 2 * C * sums
        scale = scale or float(np.linalg.norm(gradient))
        if np.linalg.norm(gradient) <= tol * scale:
            return Regression(w, steps, True)
        if steps == max_iter:
            break
        products = np.zeros((len(w), len(w)), X.dtype)
        for rows in row_blocks(outside, _ROWS):
            some = X[rows] if held is None else held
            products += some.T @ some
        del excess, outside, held  # while the other regressions take their steps
        direction = -np.linalg.solve(np.eye(len(w)) + 2 * C * products, gradient)
        change = (yield direction.astype(X.dtype)).astype(np.float64)  # (N,)
        length, slope = 1.0, float(gradient @ direction)
        while (following := _value(w + length * direction, residual + length * change, C, epsilon)) > (
            value + 1e-4 * length * slope
        ):
            length /= 2
            if length < 1e-6:  # at the precision of the products: float32's, for float32 features
                return Regression(w, steps, True)
        w, value = w + length * direction, following
        del change
        # computed anew, so that rounding errors do not add up
        residual = (yield w.astype(X.dtype)).astype(np.float64) - (y.astype(np.float64) - centre)
    return Regression(w, max_iter, False)


def _value(w: np.ndarray, residual: np.ndarray, C: float, epsilon: float) -> float:
    return float(0.5 * w @ w + C * np.square(np.maximum(np.abs(residual) - epsilon, 0)).sum())
