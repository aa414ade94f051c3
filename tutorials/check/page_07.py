"""Checks of the exercises of page 7, Your own layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

from check.compare import close, exercise, pair, slopes
from tinysegrank import nn


@exercise
def exercise_7_1(silu: Callable[..., Any], backward: Callable[..., Any]) -> None:
    """Check SiLU: silu(x) -> (y, context), backward(gradient, context) -> gx."""
    rng = np.random.default_rng(1)
    x, gradient = 3 * rng.standard_normal((4, 5)), rng.standard_normal((4, 5))
    y, context = pair(silu(x), "silu")
    close(y, x * expit(x), "the output")
    close(backward(gradient, context), slopes(lambda x: x * expit(x), x, gradient), "the gradient", atol=1e-8)


@exercise
def exercise_7_2(leaky: Callable[..., Any], backward: Callable[..., Any]) -> None:
    """Check a leaky ReLU: leaky(x, a) -> (y, context), backward(gradient, context) -> (gx, ga)."""
    rng = np.random.default_rng(1)
    x, gradient = rng.choice([-1, 1], (4, 5)) * (0.1 + rng.random((4, 5))), rng.standard_normal((4, 5))
    for a in (0.2, 1.5, -0.5):

        def right(x: np.ndarray, a: Any = a) -> np.ndarray:
            return np.where(x > 0, x, a * x)

        y, context = pair(leaky(x, np.array(a)), "leaky")
        close(y, right(x), f"the output for a = {a}")
        gx, ga = pair(backward(gradient, context), "backward", "the gradients with respect to x and to a")
        close(gx, slopes(right, x, gradient), f"the gradient with respect to x for a = {a}", atol=1e-8)
        close(ga, slopes(lambda a: right(x, a), np.array(a), gradient), "the gradient with respect to a", atol=1e-8)


@exercise
def exercise_7_3(residual: Callable[[nn.Layer], nn.Layer]) -> None:
    """Check a residual layer: residual(inner) is a layer with the parameters of inner."""
    rng = np.random.default_rng(1)
    inner = nn.Conv2d(rng.standard_normal((3, 3, 1, 1)), rng.standard_normal(3))
    x, gradient = rng.standard_normal((2, 3, 2, 2)), rng.standard_normal((2, 3, 2, 2))
    layer = residual(inner)
    y, context = pair(layer.forward(x), "forward")
    close(y, x + inner.forward(x)[0], "the output")
    gx, gradients = pair(layer.backward(gradient, context), "backward", "the gradient of x and those of the parameters")
    close(gx, slopes(lambda x: x + inner.forward(x)[0], x, gradient), "the gradient with respect to x", atol=1e-7)
    _, expected = inner.backward(gradient, inner.forward(x)[1])
    close(
        sorted(gradients) == sorted(expected) == sorted(layer.parameters), True, "whether inner's parameters are there"
    )
    for name, array in expected.items():
        close(gradients[name], array, f"the gradient with respect to {name}")


@exercise
def exercise_7_4(many: float, few: float) -> None:
    """Check how often a check finds one entry that is wrong by 1 %, of 10,000 entries and of 100.

    It is found where the change along the direction, 0.01 |u d|, exceeds 1e-6 times the norms of both.
    """
    rng = np.random.default_rng(1)
    product = np.abs(rng.standard_normal(100_000) * rng.standard_normal(100_000))  # of u and d at the entry
    close(many, np.mean(0.01 * product > 1e-6 * 10_000), "the share among 10,000 entries", atol=0.12)
    close(few, np.mean(0.01 * product > 1e-6 * 100), "the share among 100 entries", atol=0.1)
