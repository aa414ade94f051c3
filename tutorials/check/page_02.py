"""Checks of the exercises of page 2, Convolution by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.signal import correlate2d

from check.compare import close, exercise, require

SOBEL = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])


@exercise
def exercise_2_1(first: int, second: int, others: Sequence[int]) -> None:
    """Check the widths after layer 1 and layer 2 for 227 pixels, and after layer 1 for 228 to 231."""

    def width(pixels: int, kernel: int, stride: int, padding: int) -> int:
        return sum(1 for _ in range(-padding, pixels + padding - kernel + 1, stride))

    close(first, width(227, 11, 4, 0), "layer 1's output at 227 pixels")
    close(second, width(27, 5, 1, 2), "layer 2's output")
    close(others, [width(pixels, 11, 4, 0) for pixels in range(228, 232)], "layer 1's outputs at 228 to 231")


@exercise
def exercise_2_2(always_zero: np.ndarray) -> None:
    """Check which entries (6, 6), true or false, have gradient zero whatever the weights."""
    seen = np.zeros((6, 6), dtype=bool)
    for r in range(0, 6 - 2, 2):
        for s in range(0, 6 - 2, 2):
            seen[r : r + 3, s : s + 3] = True
    close(always_zero, ~seen, "whether the gradient is always zero")


@exercise
def exercise_2_3(dilated: Callable[[np.ndarray, np.ndarray, int], np.ndarray]) -> None:
    """Check a dilated convolution, dilated(x, w, d), of one map and one filter."""
    rng = np.random.default_rng(1)
    for shape, kernel, d in [((9, 8), (3, 3), 2), ((10, 11), (2, 4), 3), ((5, 5), (3, 2), 1)]:
        x, w = rng.standard_normal(shape), rng.standard_normal(kernel)
        spread = np.zeros([d * (k - 1) + 1 for k in kernel])
        spread[::d, ::d] = w
        close(dilated(x, w, d), correlate2d(x, spread, mode="valid"), f"a {kernel} filter with d = {d}")


@exercise
def exercise_2_4(first: np.ndarray, second: np.ndarray, products: int) -> None:
    """Check two small filters that do Sobel's work one after the other, and the products for each output."""
    x = np.random.default_rng(1).standard_normal((8, 9))
    in_two = correlate2d(correlate2d(x, np.atleast_2d(first), mode="valid"), np.atleast_2d(second), mode="valid")
    close(in_two, correlate2d(x, SOBEL, mode="valid"), "the two convolutions, one after the other")
    require(np.size(first) + np.size(second) < SOBEL.size, "the two filters should be smaller than the one")
    close(products, np.size(first) + np.size(second), "the products for each output")
