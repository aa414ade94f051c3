"""Checks of the exercises of page 3, Max pooling and local response normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from check.compare import close, exercise, pair, slopes


@exercise
def exercise_3_1(widths: Sequence[int]) -> None:
    """Check the image widths from 200 to 240 at which both roundings agree."""

    def after(width: int, up: bool) -> int:
        windows = [at for at in range(0, width, 2) if at + 3 <= width or (up and at - 2 + 3 < width)]
        return len(windows)

    def agree(pixels: int) -> bool:
        conv1 = len(range(0, pixels - 10, 4))
        return after(after(conv1, True), True) == after(after(conv1, False), False)

    right = [pixels for pixels in range(200, 241) if agree(pixels)]
    close(sorted(widths), right, "the widths")


@exercise
def exercise_3_2(pool: Callable[..., Any], backward: Callable[..., Any]) -> None:
    """Check an average pooling of 3 x 3 with stride 2: pool(x) -> (y, context), backward(g, context) -> gx."""
    rng = np.random.default_rng(1)
    for shape in [(7, 7), (8, 12), (3, 6)]:
        x = rng.standard_normal(shape)
        starts = [range(0, length - 1, 2) if length > 3 else range(1) for length in shape]

        def by_definition(x: np.ndarray, starts: list[range] = starts) -> np.ndarray:
            return np.array([[np.mean(x[r : r + 3, s : s + 3]) for s in starts[1]] for r in starts[0]])

        y, context = pair(pool(x), "pool")
        close(y, by_definition(x), f"the means for a map of {shape}")
        g = rng.standard_normal(np.shape(y))
        close(backward(g, context), slopes(by_definition, x, g), f"the gradient for a map of {shape}", atol=1e-7)


@exercise
def exercise_3_3(summit: float) -> None:
    """Check the input beyond which a louder channel gives a smaller output, with AlexNet's constants."""
    highest = minimize_scalar(lambda x: -x * (1 + 1e-4 / 5 * x**2) ** -0.75, bounds=(1, 1000)).x
    close(summit, round(highest, 2), "the summit", rtol=1e-3)


@exercise
def exercise_3_4(lrn: Callable[..., Any], backward: Callable[..., Any]) -> None:
    """Check an LRN over the channels c - 2 to c + 1: lrn(x, alpha, beta) -> (y, context), and its backward pass."""
    rng = np.random.default_rng(1)
    for alpha, beta in [(1.0, 0.75), (0.3, 0.5)]:

        def by_definition(x: np.ndarray, alpha: float = alpha, beta: float = beta) -> np.ndarray:
            squares = [np.sum(x[max(0, c - 2) : c + 2] ** 2, axis=0) for c in range(len(x))]
            return x * (1 + alpha / 4 * np.array(squares)) ** -beta

        x = rng.standard_normal((7, 3))
        y, context = pair(lrn(x, alpha, beta), "lrn")
        close(y, by_definition(x), f"the output for alpha = {alpha}, beta = {beta}")
        g = rng.standard_normal(x.shape)
        close(backward(g, context), slopes(by_definition, x, g), "the gradient", rtol=1e-5, atol=1e-7)
