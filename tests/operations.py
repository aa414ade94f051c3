"""One case object per operation, and the one body of tests that every operation goes through."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tinysegrank.backend import Array, Backend, get_backend, to_numpy
from tinysegrank.testing import check_backward

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}  # of the largest entry


@dataclass(frozen=True)
class Operation:
    """How to draw the inputs of an operation, run it both ways, and what it returns by naive loops.

    name: of the test case.
    draw: rng to the inputs, float64; kinks further apart than the step of a finite difference.
    forward: (*inputs) to (result, context).
    backward: (gradient, context) to the gradients, a tuple for several inputs, None where there is none.
    loops: (*inputs) to the result, independently of the library.
    analytic: whether the complex step applies too.
    """

    name: str
    draw: Callable[[np.random.Generator], Sequence[np.ndarray]]
    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[[Any, Any], Any]
    loops: Callable[..., Any]
    analytic: bool = True

    def __str__(self) -> str:
        return self.name

    def gradients(self, gradient: Array, context: Any) -> tuple[Array | None, ...]:
        """What `backward` returns, always as a tuple."""
        returned = self.backward(gradient, context)
        return returned if isinstance(returned, tuple) else (returned,)

    def both(self, inputs: Sequence[Array], gradient: Array) -> tuple[Array, tuple[Array | None, ...], list[Array]]:
        """Forward and backward: the result, the gradients, and the arrays that the context keeps."""
        result, context = self.forward(*inputs)
        return result, self.gradients(gradient, context), list(arrays_in(context))


def assert_close(found: Array, expected: Array, tolerance: float = TOLERANCE["float64"], *, least: float = 0.0) -> None:
    """Equal shapes, and entries equal to `tolerance` of the largest one; of `least`, where sums of that size cancel."""
    found, expected = to_numpy(found), to_numpy(expected)
    assert found.shape == expected.shape
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.max(np.abs(expected), initial=least))


def arrays_in(context: Any) -> Iterator[Array]:
    """The arrays of a context, however nested."""
    if isinstance(context, tuple | list | dict):
        for part in context.values() if isinstance(context, dict) else context:
            yield from arrays_in(part)
    elif hasattr(context, "dtype"):
        yield context


def dtypes_inside(program: Any) -> set[str]:
    """The dtypes of everything that a traced JAX program computes on the way, inner programs included."""
    found = set()
    for equation in program.eqns:
        found |= {str(variable.aval.dtype) for variable in equation.outvars}
        for value in equation.params.values():
            if hasattr(value, "eqns"):
                found |= dtypes_inside(value)
    return found


def spread_out(backend: Backend, array: np.ndarray) -> Array:
    """The same values with a stride of two along every axis."""
    wide = np.full([2 * n for n in array.shape], np.nan)
    wide[(slice(None, None, 2),) * array.ndim] = array
    return backend.asarray(wide)[(slice(None, None, 2),) * array.ndim]


class OperationTests:
    """Subclass it and parametrise `operation`."""

    def test_forward_is_what_loops_give(self, operation: Operation, rng: np.random.Generator) -> None:
        inputs = operation.draw(rng)
        result, _ = operation.forward(*inputs)
        assert_close(result, np.asarray(operation.loops(*inputs)))

    def test_backward_is_the_gradient(self, operation: Operation, rng: np.random.Generator) -> None:
        methods = ("finite-difference", "complex-step") if operation.analytic else ("finite-difference",)
        for method in methods:
            check_backward(operation.forward, operation.backward, operation.draw(rng), method=method, rng=rng)

    def test_every_backend(self, operation: Operation, backend: Backend, rng: np.random.Generator) -> None:
        """Values are those of NumPy in float64; dtype and device are those of the inputs, in the context too."""
        host = operation.draw(rng)
        expected, context = operation.forward(*host)
        cotangent = rng.standard_normal(np.shape(expected))
        wanted = expected, *operation.gradients(cotangent, context)

        both = operation.both
        if backend.name == "jax":  # compiled: far faster than step by step, and tracing refuses hidden synchronisation
            jax = importlib.import_module("jax")
            arrays = [backend.asarray(a, dtype="float32") for a in (*host, cotangent)]
            assert "float64" not in dtypes_inside(jax.make_jaxpr(both)(arrays[:-1], arrays[-1]))
            both = jax.jit(both)
        for dtype in ("float32",) if backend.name == "jax" else TOLERANCE:
            inputs = [backend.asarray(a, dtype=dtype) for a in host]
            result, gradients, kept = both(inputs, backend.asarray(cotangent, dtype=dtype))
            for array in (result, *gradients, *kept):
                if array is not None and array.dtype != backend.xp.bool:
                    assert array.dtype == inputs[0].dtype
                    assert array.device == inputs[0].device
            assert len(gradients) == len(inputs)
            for found, value in zip((result, *gradients), wanted, strict=True):
                if value is None or str(backend.device) == "meta":
                    assert found is value or tuple(found.shape) == value.shape
                else:
                    assert_close(found, value, TOLERANCE[dtype])

    def test_nothing_given_is_changed(self, operation: Operation, rng: np.random.Generator) -> None:
        inputs = operation.draw(rng)
        result, context = operation.forward(*inputs)
        cotangent = rng.standard_normal(np.shape(result))
        given = [*inputs, cotangent, *arrays_in(context)]
        before = [np.array(a) for a in given]
        first = operation.gradients(cotangent, context)
        second = operation.gradients(cotangent, context)
        for array, copy in zip(given, before, strict=True):
            np.testing.assert_array_equal(array, copy)
        for one, other in zip(first, second, strict=True):
            np.testing.assert_equal(one, other)

    @pytest.mark.parametrize("library", ["numpy", "torch"])
    def test_strided_inputs(self, operation: Operation, library: str, rng: np.random.Generator) -> None:
        if library == "torch":
            pytest.importorskip("torch")
        backend = get_backend(library)
        host = operation.draw(rng)
        expected, context = operation.forward(*host)
        cotangent = rng.standard_normal(np.shape(expected))
        expected_gradients = operation.gradients(cotangent, context)
        result, context = operation.forward(*[spread_out(backend, a) for a in host])
        gradients = operation.gradients(spread_out(backend, cotangent), context)
        for found, wanted in zip((result, *gradients), (expected, *expected_gradients), strict=True):
            if wanted is not None:
                assert_close(found, wanted)
