"""The same for the exercises of pages 12 to 17."""

from __future__ import annotations

from typing import Any

import numpy as np
from answers_0_to_7 import Answers
from scipy.special import expit


def swish(x: np.ndarray, b: float) -> Any:
    s = expit(b * x)
    return x * s, (x, b, s)


def swish_backward(gradient: np.ndarray, context: Any, *, inner: int = 1, summed: bool = True) -> Any:
    x, b, s = context
    grad_b = gradient * x * x * s * (1 - s)
    return gradient * (s + inner * b * x * s * (1 - s)), grad_b.sum() if summed else grad_b


after = {"superpixels", "upsampled", "proposals", "ranker", "report"}

ANSWERS: Answers = {
    "exercise_12_1": (
        (lambda unary: np.ptp(unary, axis=1).sum(),),
        [(lambda unary: 0.0,), (lambda unary: -np.ptp(unary, axis=1).sum(),), (lambda unary: np.ptp(unary) / 100,)],
    ),
    "exercise_12_2": ((2, 2, 4), [(4, 2, 4), (2, 4, 4), (2, 2, 2), (0, 4, 4)]),
    "exercise_12_3": (
        ([(1, 1), (0, 0), (1, 1)],),
        [([(1, 1), (0, 1), (0, 0)],), ([(0, 1), (1, 1), (0, 0)],), ([(1, 1), (0, 0)],)],
    ),
    "exercise_15_1": (
        (91 / 200, 0.455, 901 / 1100, 0.455),
        [(0.455, 0.5, 901 / 1100, 0.455), (91 / 200, 0.455, 0.455, 0.455), (91 / 100, 0.91, 901 / 1100, 0.91)],
    ),
    "exercise_15_2": ((0.73 / 21, 0.73 / 2), [(0.73, 0.73), (0.73 / 20, 0.73), (0.73 / 21, 0.73)]),
    "exercise_15_3": (
        (after,),
        [(after | {"training"},), (after - {"ranker"},), (after | {"features"},), (after | {"everything"},)],
    ),
    "exercise_17_1": ((0.1, 0.91), [(0.91, 0.1), (0.1, 0.1), (1.0, 0.91)]),
    "exercise_17_2": (([6, 6], [7, 6]), [([7, 6], [7, 6]), ([6, 6], [6, 6]), ([6, 6], [6, 7])]),
    "exercise_17_3": (
        (swish, swish_backward),
        [
            (swish, lambda g, context: swish_backward(g, context, inner=0)),
            (swish, lambda g, context: swish_backward(g, context, summed=False)),
            (lambda x, b: (expit(b * x), (x, b, expit(b * x))), swish_backward),
        ],
    ),
}
