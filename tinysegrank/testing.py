"""A gradient checker for one's own layers: finite differences along a random direction, or the complex step.

A whole gradient is checked by one number, its product with a random direction, so two evaluations do for arrays of any
size; an error in a single entry shows with probability 1. Only when the number is wrong are entries searched.

Source: central differences, and Squire and Trapp (1998) for the complex step, Im f(x + i h d) / h, which has no
cancellation and so is exact to rounding where f is analytic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

Forward = Callable[..., tuple[Any, Any]]
Backward = Callable[[Any, Any], Any]

STEP = {"finite-difference": 6e-6, "complex-step": 1e-60}
TOLERANCE = {"finite-difference": 1e-6, "complex-step": 1e-11}


class GradientError(AssertionError):
    """A backward pass does not return the gradient of its forward pass; the message says where."""


def check_backward(
    forward: Forward,
    backward: Backward,
    arrays: Sequence[Any],
    *,
    method: str = "finite-difference",
    names: Sequence[str] | None = None,
    rng: np.random.Generator | None = None,
    directions: int = 1,
    step: float | None = None,
    tolerance: float | None = None,
) -> None:
    """Check that `backward` returns the gradients of `forward`, in float64.

    arrays | any shapes | real floating | the inputs, made float64 first; kinks (ties, zeros of a ReLU) must be further
           |            |               | apart than the step

    Args:
        forward: (*arrays) -> (result, context), the result one real floating array.
        backward: (gradient, context) -> the gradients in the order of `arrays`; a bare array where there is one. A None
            is an input that has no gradient and is not checked.
        method: "finite-difference", or "complex-step" for functions that are analytic and take complex arrays.
        names: of the inputs, for the message; default "input 0", ...
        rng: for the directions and the gradient handed to `backward`; default seed 0.
        directions: how many random directions to try.
        step: of the difference, relative to the largest entry of an input, or to 1 if all are smaller.
        tolerance: largest error allowed, relative to the product of the gradient's and the direction's norms.

    Raises:
        GradientError: wrong number, shape or dtype of the gradients, an input changed in place, or a wrong gradient;
            the message names the input, the index, and the value there by `backward` and by difference.
        ValueError: an unknown method, or not one name for each input.

    Example:
        >>> import numpy as np
        >>> from tinysegrank.testing import check_backward
        >>> square = lambda x: (x * x, x)
        >>> check_backward(square, lambda gradient, x: 2 * x * gradient, [np.arange(6.0)])
    """
    if method not in STEP:
        raise ValueError(f'method="{method}": choose one of {", ".join(STEP)}')
    step = STEP[method] if step is None else step
    tolerance = TOLERANCE[method] if tolerance is None else tolerance
    rng = np.random.default_rng(0) if rng is None else rng
    inputs = [np.array(a, dtype=np.float64) for a in arrays]
    names = [f"input {i}" for i in range(len(inputs))] if names is None else names
    if len(names) != len(inputs):
        raise ValueError(f"names={list(names)}: give one for each of the {len(inputs)} inputs")

    result, context = forward(*[a.copy() for a in inputs])
    result = np.asarray(result)
    cotangent = rng.standard_normal(result.shape)
    handed = [a.copy() for a in inputs]
    result, context = forward(*handed)
    gradients = backward(cotangent.copy(), context)
    gradients = gradients if isinstance(gradients, tuple | list) else (gradients,)
    _check_form(gradients, inputs, handed, names)

    def slope(index: int, direction: np.ndarray) -> float:
        """Derivative of <cotangent, forward> along `direction` of one input."""
        size = step * float(np.max(np.abs(inputs[index]), initial=1.0))
        if method == "complex-step":
            value = forward(*_moved(inputs, index, 1j * size * direction))[0]
            return float(np.sum(cotangent * np.imag(value))) / size
        ahead = forward(*_moved(inputs, index, size * direction))[0]
        behind = forward(*_moved(inputs, index, -size * direction))[0]
        return float(np.sum(cotangent * (ahead - behind))) / (2 * size)

    for index, gradient in enumerate(gradients):
        if gradient is None:
            continue
        for _ in range(directions):
            direction = rng.standard_normal(inputs[index].shape)
            expected, found = slope(index, direction), float(np.sum(gradient * direction))
            scale = float(np.linalg.norm(gradient) * np.linalg.norm(direction)) + abs(expected)
            if not abs(found - expected) <= tolerance * scale < np.inf:
                place, by_backward, by_difference = _worst_entry(gradient, partial(slope, index))
                raise GradientError(
                    f"the gradient of {names[index]} is wrong: along a random direction backward gives {found:.9g}, "
                    f"{method} {expected:.9g}; the worst entry looked at is {list(place)}, "
                    f"where backward gives {by_backward:.9g}, {method} {by_difference:.9g}"
                )


def _moved(inputs: Sequence[np.ndarray], index: int, change: np.ndarray) -> list[np.ndarray]:
    """The inputs with one of them moved, all in the dtype of the change (functions refuse mixed dtypes)."""
    return [a + change if i == index else a.astype(change.dtype) for i, a in enumerate(inputs)]


def _check_form(
    gradients: Sequence[Any], inputs: Sequence[np.ndarray], handed: Sequence[np.ndarray], names: Sequence[str]
) -> None:
    if len(gradients) != len(inputs):
        raise GradientError(f"backward returned {len(gradients)} gradients for {len(inputs)} inputs")
    for name, gradient, before, after in zip(names, gradients, inputs, handed, strict=True):
        if not np.array_equal(before, after, equal_nan=True):
            raise GradientError(f"{name} was changed in place by forward or backward")
        if gradient is not None and (np.shape(gradient) != before.shape or np.asarray(gradient).dtype != before.dtype):
            raise GradientError(
                f"the gradient of {name} is {np.asarray(gradient).dtype} of shape {np.shape(gradient)}; "
                f"expected {before.dtype} of shape {before.shape}"
            )


def _worst_entry(
    gradient: np.ndarray, slope: Callable[[np.ndarray], float], *, most: int = 2000
) -> tuple[tuple[int, ...], float, float]:
    """Compare entry by entry (at most `most`, evenly spread) and return the place and both values of the worst."""

    def look(flat: int) -> tuple[tuple[int, ...], float, float]:
        place = tuple(int(i) for i in np.unravel_index(flat, gradient.shape))
        direction = np.zeros(gradient.shape)
        direction[place] = 1.0
        return place, float(gradient[place]), slope(direction)

    def error(entry: tuple[tuple[int, ...], float, float]) -> float:
        _, found, expected = entry
        difference = abs(found - expected)
        return difference if np.isfinite(difference) else np.inf

    looked_at = np.unique(np.linspace(0, gradient.size - 1, min(most, gradient.size)).astype(int))
    return max((look(flat) for flat in looked_at), key=error)
