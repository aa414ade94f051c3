"""Checks of the exercises of page 4, Softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit, log_softmax, softmax

from check.compare import AnswerError, close, exercise, slopes


class _Finite(np.ndarray):
    """An array that refuses infinite results, also where the warning about them is silenced."""

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> np.ndarray:
        if np.isinf(np.asarray(array)).any():
            raise FloatingPointError("overflow")
        return np.asarray(array).view(_Finite)


@exercise
def exercise_4_1(logistic: Callable[[np.ndarray], np.ndarray]) -> None:
    """Check q_1 as a function of d = z_1 - z_2, an array; it must not overflow."""
    d = np.array([-1000.0, -700, -40, -2, -0.1, 0, 0.1, 3, 40, 700, 1000])
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            found = logistic(d.view(_Finite))
    except FloatingPointError as error:
        raise AnswerError(f"{error}, for a d from -1000 to 1000") from None
    close(found, expit(d), "the probability", rtol=1e-12, atol=1e-300)  # at -1000, 0 and 1e-304 are both right


@exercise
def exercise_4_2(covariance: Callable[[np.ndarray], np.ndarray]) -> None:
    """Check covariance(q), of a class drawn with probabilities q and written as a one among zeros."""
    for q in ([0.5, 0.3, 0.2], [0.7, 0.1, 0.1, 0.1]):
        outcomes = np.eye(len(q))  # one column for each class that may be drawn
        close(covariance(np.array(q)), np.cov(outcomes, aweights=q, bias=True), "the covariance")


@exercise
def exercise_4_3(slope: Callable[[np.ndarray, float], np.ndarray]) -> None:
    """Check slope(z, T), the derivatives of softmax(z / T) with respect to T."""
    z, h = np.random.default_rng(1).standard_normal(5), 1e-6
    for T in (0.5, 1.0, 2.5):
        right = (softmax(z / (T + h)) - softmax(z / (T - h))) / (2 * h)
        close(slope(z, T), right, f"the derivatives at T = {T}", atol=1e-8)


@exercise
def exercise_4_4(backward: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Check backward(g, log_q), the gradient with respect to scores (N, K) of log-softmax along the last axis."""
    rng = np.random.default_rng(1)
    z, g = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    right = slopes(lambda z: log_softmax(z, axis=-1), z, g)
    close(backward(g, log_softmax(z, axis=-1)), right, "the gradient", atol=1e-7)
