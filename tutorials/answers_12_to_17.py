"""The same for the exercises of pages 12 to 17."""

from __future__ import annotations

import numpy as np
from answers_0_to_7 import Answers

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
}
