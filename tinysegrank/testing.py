"""A gradient checker for one's own layers: finite differences along a random direction, or the complex step.

A whole gradient is checked by one number, its product with a random direction, so two evaluations suffice for an array
of any size. By default the error of this number may be about 1e-6 of the product of the norms of gradient and
direction. So that errors in small entries don't drown among large ones, entries more than 1,000 times smaller than the
largest, in value or in gradient, are checked again without the large ones, as far as differences in float64 are
accurate. Single entries are searched only when a product is wrong.

Source: central differences, and Squire and Trapp (1998) for the complex step, Im f(x + i h d) / h, which has no
cancellation and so is exact to rounding where f is analytic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinysegrank.backend import Backend, to_numpy
from tinysegrank.slopes import Slope, by_scale, product, worst_entry

Forward = Callable[..., tuple[Any, Any]]
Backward = Callable[[Any, Any], Any]

STEP = {"finite-difference": 6e-6, "complex-step": 1e-60}
TOLERANCE = {"finite-difference": 1e-6, "complex-step": 1e-11}
ROUNDING = 100 * np.finfo(float).eps  # assumed relative rounding error of a result


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
    backend: Backend | None = None,
) -> None:
    """Check that `backward` returns the gradients of `forward`, in float64.

    arrays | any shapes | real floating | the inputs, made float64 first; more than a step away from kinks, such as ties
           |            |               | and zeros of a ReLU

    Args:
        forward: (*arrays) -> (result, context); the result is one real floating array, the same at each call.
        backward: (gradient, context) -> the gradients in the order of `arrays`, or a bare array if there is only one. A
            None is for an input that has no gradient, and is not checked.
        method: "finite-difference", or "complex-step" for functions that are analytic and take complex arrays.
        names: names of the inputs for messages; by default "input 0", ...
        rng: draws the directions and the gradient passed to `backward`; by default with seed 0.
        directions: number of random directions to try, at least one.
        step: length of the difference, relative to the largest entry of an input, or to 1 if all are smaller; by
            default that of `STEP`.
        tolerance: largest error allowed, relative to the sum of the slope's size and the product of the norms of
            gradient and direction; by default that of `TOLERANCE`.
        backend: array backend on which forward and backward are called; by default they get NumPy arrays. It must have
            float64: JAX has it once `jax_enable_x64` is set.

    Raises:
        GradientError: a gradient is wrong (the message names the input, its worst entry, and the value there by
            `backward` and by difference); forward returns something else or is random; gradients have a wrong number,
            shape or dtype, or all are None; or an input was changed in place.
        ValueError: the method is unknown, arrays is one array or empty, names don't match the inputs, or an option is
            out of range.

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
    if not (0 < step < np.inf and 0 <= tolerance < np.inf and directions >= 1):
        raise ValueError(
            f"step={step}, tolerance={tolerance}, directions={directions}: give a positive step, a tolerance of at "
            "least 0 and one direction or more"
        )
    if backend is not None:
        forward, backward = _on_backend(backend, forward, backward)
    inputs = _inputs(arrays)
    rng = np.random.default_rng(0) if rng is None else rng
    names = [f"input {i}" for i in range(len(inputs))] if names is None else names
    if len(names) != len(inputs):
        raise ValueError(f"names={list(names)}: give one for each of the {len(inputs)} inputs")

    first, _ = _run(forward, [a.copy() for a in inputs])
    handed = [a.copy() for a in inputs]
    result, context = _run(forward, handed)
    if not np.array_equal(first, result, equal_nan=True):
        raise GradientError(
            "forward gives another result the second time; fix its random numbers, for example with a generator that "
            "each call makes from the same seed"
        )
    cotangent = rng.standard_normal(result.shape)
    gradients = backward(cotangent.copy(), context)
    gradients = gradients if isinstance(gradients, tuple | list) else (gradients,)
    _check_form(gradients, inputs, handed, names)

    def slope(index: int, direction: np.ndarray, *, shortened: float = 1.0) -> Slope:
        """Measure the derivative of <cotangent, forward> along one input's `direction`, by a step times `shortened`."""
        size = step * shortened * float(np.max(np.abs(inputs[index]), initial=1.0))
        if method == "complex-step":
            rises = cotangent * np.imag(forward(*_moved(inputs, index, 1j * size * direction))[0])
            return Slope(float(np.sum(rises)) / size, ROUNDING * float(np.sum(np.abs(rises))) / size)
        ahead = forward(*_moved(inputs, index, size * direction))[0]
        behind = forward(*_moved(inputs, index, -size * direction))[0]
        value = float(np.sum(cotangent * (ahead - behind))) / (2 * size)
        return Slope(value, ROUNDING * float(np.sum(np.abs(cotangent * ahead))) / size)

    for index, gradient in enumerate(gradients):
        if gradient is None:
            continue
        gradient = np.asarray(gradient)
        for _ in range(directions):
            for chosen in by_scale(inputs[index], gradient):
                direction = np.where(chosen, rng.standard_normal(gradient.shape), 0.0)
                _check_along(direction, gradient, partial(slope, index), tolerance, method, names[index])


def _on_backend(backend: Backend, forward: Forward, backward: Backward) -> tuple[Forward, Backward]:
    """Return both functions wrapped: they get arrays of the backend, and their results become NumPy arrays."""

    def forward_there(*arrays: np.ndarray) -> Any:
        with backend.active():
            returned: Any = forward(*(backend.asarray(array) for array in arrays))
            there = isinstance(returned, tuple) and len(returned) == 2
            return (to_numpy(returned[0]), returned[1]) if there else returned

    def backward_there(gradient: np.ndarray, context: Any) -> Any:
        with backend.active():
            returned = backward(backend.asarray(gradient), context)
            gradients = returned if isinstance(returned, tuple | list) else (returned,)
            return tuple(None if gradient is None else to_numpy(gradient) for gradient in gradients)

    return forward_there, backward_there


def _check_along(
    direction: np.ndarray,
    gradient: np.ndarray,
    slope: Callable[..., Slope],
    tolerance: float,
    method: str,
    name: str,
) -> None:
    """Compare the slope along a direction with the product of gradient and direction; raise GradientError if wrong."""
    chosen = direction != 0
    found, expected = product(gradient, direction), slope(direction)
    scale = float(np.linalg.norm(gradient[chosen]) * np.linalg.norm(direction)) + abs(expected.value)
    allowed, which = tolerance * scale, "a random direction"
    if not chosen.all():  # allow for the errors of the difference itself: rounding, and the step's length
        which = "a random direction of its small entries"
        allowed += expected.rounding
        if not abs(found - expected.value) <= allowed < np.inf:
            allowed += 2 * abs(slope(direction, shortened=0.5).value - expected.value)
    if not abs(found - expected.value) <= allowed < np.inf:
        place, by_backward, by_difference = worst_entry(gradient, direction, slope)
        raise GradientError(
            f"the gradient of {name} is wrong: along {which} backward gives {found:.9g}, "
            f"{method} {expected.value:.9g}; the worst entry looked at is {list(place)}, "
            f"where backward gives {by_backward:.9g}, {method} {by_difference:.9g}"
        )


def _inputs(arrays: Sequence[Any]) -> list[np.ndarray]:
    """Return copies of the inputs in float64."""
    if hasattr(arrays, "dtype"):
        raise ValueError(f"arrays is one array of shape {tuple(np.shape(arrays))}; give a list, as in [x]")
    inputs = [np.array(a, dtype=np.float64) for a in arrays]
    if not inputs:
        raise ValueError("arrays is empty, so there is nothing to check; give a list, as in [x]")
    return inputs


def _run(forward: Forward, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, Any]:
    returned: Any = forward(*arrays)
    if not isinstance(returned, tuple) or len(returned) != 2:
        kind = f"{len(returned)} things" if isinstance(returned, tuple) else f"one {type(returned).__name__}"
        raise GradientError(f"forward returns {kind}; let it return (result, context); backward takes the context")
    result = np.asarray(returned[0])
    if result.dtype.kind != "f":
        raise GradientError(f"forward's result is {result.dtype}; it must be one real floating array")
    return result, returned[1]


def _moved(inputs: Sequence[np.ndarray], index: int, change: np.ndarray) -> list[np.ndarray]:
    """Return the inputs in the dtype of `change`, as functions may refuse mixed ones; add it to number `index`."""
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
    if all(gradient is None for gradient in gradients):
        raise GradientError("backward returned no gradient but None, so nothing is checked")
