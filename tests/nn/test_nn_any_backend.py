"""Layers of any shape and options on every backend: values in float32, dtype and device."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.nn.nn_strategies import LAYERS, layers
from tests.operations import TOLERANCE, arrays_in, assert_close, dtypes_inside
from tinysegrank.backend import Array, Backend

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])  # one backend for all examples
@given(data=st.data())
def test_any_layer_is_that_of_numpy_in_float64(name: str, backend: Backend, data: st.DataObject) -> None:
    """JAX is only asked for shapes and dtypes, of all that is computed on the way: it compiles each shape anew."""
    case = data.draw(layers(name))
    host = [array.astype(np.float32).astype(np.float64) for array in case.arrays]  # what float32 can hold
    expected, context = case.forward(*host)
    cotangent = np.random.default_rng(0).uniform(0.5, 2, expected.shape).astype(np.float32)
    wanted = expected, *case.backward(cotangent.astype(np.float64), context)

    def both(arrays: list[Array], gradient: Array) -> tuple[list[Array], list[Array]]:
        result, context = case.forward(*arrays)
        return [result, *case.backward(gradient, context)], list(arrays_in(context))

    given_arrays = [backend.asarray(array, dtype="float32") for array in host]
    if backend.name == "jax":
        trace = importlib.import_module("jax").make_jaxpr(both, return_shape=True)
        program, (found, kept) = trace(given_arrays, backend.asarray(cotangent))
        assert "float64" not in dtypes_inside(program)
    else:
        found, kept = both(given_arrays, backend.asarray(cotangent))
        assert all(array.device == given_arrays[0].device for array in (*found, *kept))
    assert all(array.dtype == given_arrays[0].dtype for array in found)
    assert all(array.dtype in (given_arrays[0].dtype, backend.xp.bool) for array in kept)
    for array, value in zip(found, wanted, strict=True):
        if backend.name == "jax" or str(backend.device) == "meta":
            assert tuple(array.shape) == value.shape
        else:
            assert_close(array, value, TOLERANCE["float32"], least=1.0)


def test_another_dtype_inside_jax_is_seen() -> None:
    """That float64 does not creep in is checked by the dtypes inside a traced program."""
    jax = pytest.importorskip("jax", reason="jax is not installed; run `pip install '.[jax]'`")

    def there_and_back(x: Any) -> Any:
        return (x.astype("float16") + 1).astype("float32")

    x = np.ones(3, np.float32)
    for function in (there_and_back, jax.jit(there_and_back)):
        assert dtypes_inside(jax.make_jaxpr(function)(x)) == {"float16", "float32"}
    assert dtypes_inside(jax.make_jaxpr(lambda x: 2 * x + 1)(x)) == {"float32"}
