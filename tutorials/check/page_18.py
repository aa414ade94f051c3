"""Checks of the exercises of page 18, One source, many array libraries."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from check.compare import close, exercise, require
from tinysegrank.backend import to_numpy


@exercise
def exercise_18_1(masked_mean: Callable[[Any, Any], Any]) -> None:
    """Check masked_mean(x, mask) on NumPy and, where it is installed, on array-api-strict."""
    rng = np.random.default_rng(1)
    x, mask = rng.standard_normal((3, 4, 5), dtype=np.float32), rng.random((3, 4, 5)) < 0.5
    mask[2] = False
    right = [np.mean([x[n, r, s] for r, s in np.argwhere(mask[n])]) if mask[n].any() else 0 for n in range(3)]
    libraries: list[Any] = [np]
    if find_spec("array_api_strict"):
        import array_api_strict

        libraries.append(array_api_strict)
    for library in libraries:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            means = masked_mean(library.asarray(x), library.asarray(mask))
        require(
            type(means) is type(library.asarray(x)), f"with {library.__name__} the result is a {type(means).__name__}"
        )
        close(to_numpy(means), right, f"the means with {library.__name__}", rtol=1e-5, atol=1e-6)


@exercise
def exercise_18_2(to_the_bit: Mapping[str, bool]) -> None:
    """Check which of "pooling", "scatter_windows" and "conv2d" must agree to the bit between libraries.

    Python's own sums, in the order of the taps and in the reverse order, are two more libraries.
    """
    rng = np.random.default_rng(1)
    windows = rng.standard_normal((2000, 9), dtype=np.float32)
    forward, reverse = windows[:, 0], windows[:, -1]
    for tap in range(1, 9):
        forward, reverse = forward + windows[:, tap], reverse + windows[:, -1 - tap]
    any_order = not np.array_equal(forward, reverse)  # a matrix product may sum in any order, and this changes bits
    right = {"pooling": True, "scatter_windows": True, "conv2d": not any_order}
    require(to_the_bit.keys() == right.keys(), f"give true or false for each of {', '.join(right)}")
    for name, agrees in right.items():
        require(bool(to_the_bit[name]) == agrees, f"{name} {'must' if agrees else 'need not'} agree to the bit")


@exercise
def exercise_18_3(error: float) -> None:
    """Check the error, in float32, of the window sum of channels 40 to 44 by a running sum over 96 squares.

    All squares are 1/3, but for the first, which is a million.
    """
    total, at_40 = np.float32(0), np.float32(0)
    for channel, square in enumerate([np.float32(1e6)] + [np.float32(1 / 3)] * 44):
        at_40 = total if channel == 40 else at_40
        total = np.float32(total + square)
    close(abs(error), abs(float(total - at_40) - 5 / 3), "the error", rtol=0.05)
