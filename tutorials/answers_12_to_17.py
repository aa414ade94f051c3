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


def classes_of_colours(masks: list[np.ndarray], *, ordered: bool = True) -> list[str]:
    pixels = np.concatenate([mask.reshape(-1, 3) for mask in masks])
    colours, first = np.unique(pixels, axis=0, return_index=True)
    in_order = [colour for colour in colours[np.argsort(first) if ordered else ...].tolist() if any(colour)]
    return [f"class {k} {' '.join(map(str, colour))}" for k, colour in enumerate(in_order, start=1)]


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
    "exercise_16_1": (("refused", "number"), [("colour", "number"), ("number", "number"), ("refused", "refused")]),
    "exercise_16_2": ((14, 10, 261), [(86, 10, 261), (14, 15, 261), (14, 10, 1107)]),
    "exercise_16_3": (
        (classes_of_colours,),
        [
            (lambda masks: classes_of_colours(masks, ordered=False),),
            (lambda masks: classes_of_colours(masks[:1]),),
            (lambda masks: [line.replace("class", "kind") for line in classes_of_colours(masks)],),
        ],
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
