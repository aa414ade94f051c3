"""Checks of the exercises of page 1, A first network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

from check.compare import close, exercise, pair, slopes


@exercise
def exercise_1_1(gradient: Callable[..., Any]) -> None:
    """Check gradient(x, p, w, b) of the neuron's squared error, as those with respect to w and b."""
    rng = np.random.default_rng(1)
    x, p, w, b = rng.standard_normal((6, 2)), rng.integers(0, 2, 6).astype(float), rng.standard_normal(2), 0.3

    def loss(w: np.ndarray, b: Any) -> np.ndarray:
        return np.mean((expit(x @ w + b) - p) ** 2)

    gw, gb = pair(gradient(x, p, w, b), "gradient", "those with respect to w and to b")
    close(gw, slopes(lambda w: loss(w, b), w, np.ones(())), "the gradient with respect to w", atol=1e-8)
    close(gb, slopes(lambda b: loss(w, b), np.array(b), np.ones(())), "the gradient with respect to b", atol=1e-8)


@exercise
def exercise_1_2(tanh: Callable[..., Any], backward: Callable[..., Any]) -> None:
    """Check tanh(x) -> (y, context) and backward(gradient, context) -> gx."""
    rng = np.random.default_rng(1)
    x, gradient = rng.standard_normal((4, 5)), rng.standard_normal((4, 5))
    y, context = pair(tanh(x), "tanh")
    close(y, (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), "the output")
    close(backward(gradient, context), slopes(np.tanh, x, gradient), "the gradient", atol=1e-8)


@exercise
def exercise_1_3(count: int) -> None:
    """Check the number of parameters of a network with the sizes 2, 16, 16 and 2."""
    close(count, sum(outputs * (inputs + 1) for inputs, outputs in ((2, 16), (16, 16), (16, 2))), "the parameters")


@exercise
def exercise_1_4(different: int) -> None:
    """Check how many different neurons there are in the end among 16 that start alike, by training them."""
    rng = np.random.default_rng(1)
    x, p, hidden, out = rng.standard_normal((20, 2)), rng.integers(0, 2, 20), np.full((2, 16), 0.1), np.full(16, 0.1)
    for _ in range(50):
        y = np.maximum(x @ hidden, 0)
        error = (expit(y @ out) - p) / 20
        hidden, out = hidden - x.T @ (error[:, None] * out * (y > 0)), out - y.T @ error
    close(different, len(np.unique(hidden.round(12), axis=1).T), "the different neurons")
