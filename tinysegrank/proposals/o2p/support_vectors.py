"""Linear support vector regression by Newton's method: residuals within a tube are not penalised, beyond it squared.

It minimises over w, without a bias,

    0.5 |w|^2 + C sum_i max(0, |x_i . w - y_i| - epsilon)^2,    strictly convex and piecewise quadratic.

Only rows outside the tube enter the Hessian, 1 + 2 C X_A^T X_A. For overlaps of segments these are a few per cent, so
that a step costs little more than a product with X, which is neither copied nor converted. The tests compare with
scikit-learn's LinearSVR, which minimises the same function.

Source: Ho and Lin, "Large-scale linear support vector regression", JMLR 2012, for the objective.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Regression(NamedTuple):
    """The coefficients (P,), Newton steps taken, and whether the gradient became small enough."""

    w: NDArray[np.float64]
    steps: int
    converged: bool


def fit_regression(
    X: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    C: float = 3.0,
    epsilon: float = 0.25,
    tol: float = 1e-4,
    max_iter: int = 100,
) -> Regression:
    """Fit w by support vector regression, so that errors X w - y above `epsilon` are small.

    X | (N, P) | float32 or float64 | products with it are computed in its dtype
    y | (N,)   | floating           |

    It ends once the gradient is at most `tol` times that at w = 0, after `max_iter` steps, or once rounding keeps the
    objective from falling.
    """
    w = np.zeros(X.shape[1])
    residual = -np.asarray(y, np.float64)  # X w - y
    value = _value(w, residual, C, epsilon)
    scale = 0.0
    for steps in range(max_iter + 1):
        excess = np.copysign(np.maximum(np.abs(residual) - epsilon, 0), residual)  # (N,)
        outside = X[np.flatnonzero(excess)]  # (A, P)
        gradient = w + 2 * C * (excess[excess != 0].astype(X.dtype) @ outside)
        scale = scale or float(np.linalg.norm(gradient))
        if np.linalg.norm(gradient) <= tol * scale:
            return Regression(w, steps, True)
        if steps == max_iter:
            break
        hessian = np.eye(len(w)) + 2 * C * (outside.T @ outside)  # (P, P)
        direction = -np.linalg.solve(hessian, gradient)
        change = (X @ direction.astype(X.dtype)).astype(np.float64)  # (N,)
        length, slope = 1.0, float(gradient @ direction)
        while (following := _value(w + length * direction, residual + length * change, C, epsilon)) > (
            value + 1e-4 * length * slope
        ):
            length /= 2
            if length < 1e-6:  # at the precision of the products: float32's, for float32 features
                return Regression(w, steps, True)
        w = w + length * direction
        residual = (X @ w.astype(X.dtype)).astype(
            np.float64
        ) - y  # computed anew, so that rounding errors do not add up
        value = following
    return Regression(w, max_iter, False)


def _value(w: NDArray[np.float64], residual: NDArray[np.float64], C: float, epsilon: float) -> float:
    return float(0.5 * w @ w + C * np.square(np.maximum(np.abs(residual) - epsilon, 0)).sum())
