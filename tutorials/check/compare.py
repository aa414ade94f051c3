"""How the checks of exercises compare an answer with the right one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np


class AnswerError(AssertionError):
    """An answer to an exercise that is not right; the message says where."""


def exercise(check: Callable[..., None]) -> Callable[..., None]:
    """Make a check that says "Right." where it raises nothing."""

    @functools.wraps(check)
    def checked(*answers: Any) -> None:
        check(*answers)
        print("Right.")

    return checked


def close(yours: Any, right: Any, what: str, *, rtol: float = 1e-6, atol: float = 1e-9) -> None:
    """Raise unless two arrays of numbers agree.

    Raises:
        AnswerError: they differ in shape or in an entry, which the message names. It gives the right entry of an array,
            but not a right answer that is a single number: the reader is to find that.
    """
    yours, right = np.asarray(yours, dtype=float), np.asarray(right, dtype=float)
    if yours.shape != right.shape:
        raise AnswerError(f"{what}: yours has the shape {yours.shape}; it should be {right.shape}")
    wrong = ~np.isclose(yours, right, rtol=rtol, atol=atol)
    if wrong.any():
        if not right.shape:
            verdict = "too large" if yours > right else "too small" if yours < right else "not a number"
            raise AnswerError(f"{what}: yours is {yours:.9g}, which is {verdict}")
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AnswerError(f"{what}: yours is {yours[at]:.9g} at {list(at)}; it should be {right[at]:.9g}")


def pair(returned: Any, function: str, what: str = "its result and a context") -> tuple[Any, Any]:
    """Return the two things that a function returned, or raise AnswerError that says which two it should return."""
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        raise AnswerError(f"{function} should return two things, {what}")
    return returned[0], returned[1]


def require(holds: Any, message: str) -> None:
    """Raise AnswerError with a message unless something holds."""
    if not np.all(holds):
        raise AnswerError(message)


def slopes(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the gradient of the sum of gradient * function with respect to x, one entry after another."""
    found, h = np.zeros(x.shape), 1e-6
    for at in np.ndindex(*x.shape):
        step = np.zeros(x.shape)
        step[at] = h
        found[at] = np.sum(gradient * (function(x + step) - function(x - step))) / (2 * h)
    return found
