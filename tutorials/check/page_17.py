"""Checks of the exercises of page 17, Coming from PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import expit

from check.compare import close, exercise, pair, slopes


@exercise
def exercise_17_1(there: float, here: float) -> None:
    """Check the first step after a drop of the rate from 0.1 to 0.01; the gradient is 1, the momentum 0.9."""
    outside = inside = step_outside = 0.0
    for rate in [0.1] * 100 + [0.01]:
        outside, inside = 0.9 * outside + 1, 0.9 * inside + rate
        step_outside = rate * outside
    close(there, step_outside, "PyTorch's step", rtol=1e-3)
    close(here, inside, "the step here", rtol=1e-3)


@exercise
def exercise_17_2(of_13: Sequence[int], of_14: Sequence[int]) -> None:
    """Check the widths after 3/2 pooling by Caffe's rule and by PyTorch's default, of 13 and of 14."""
    for yours, width in ((of_13, 13), (of_14, 14)):
        starts = range(0, width, 2)
        floor = sum(start + 3 <= width for start in starts)  # whole windows only
        ceil = floor + (2 * floor + 1 < width)  # one more, if the whole ones leave out an entry
        close(yours, [ceil, floor], f"the widths of {width}")


@exercise
def exercise_17_3(swish: Callable[..., Any], swish_backward: Callable[..., Any]) -> None:
    """Check swish(x, b) and its backward function."""
    rng = np.random.default_rng(1)
    x, gradient, b = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), 1.7
    y, context = pair(swish(x, b), "swish")
    close(y, x * expit(b * x), "y")
    grad_x, grad_b = pair(swish_backward(gradient, context), "swish_backward", "the gradients of x and of b")
    close(grad_x, slopes(lambda x: x * expit(b * x), x, gradient), "the gradient of x", rtol=1e-5, atol=1e-8)
    right = slopes(lambda b: x * expit(b[0] * x), np.array([b]), gradient)[0]
    close(grad_b, right, "the gradient of b", rtol=1e-5, atol=1e-8)
