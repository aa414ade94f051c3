"""Losses of any batch on every backend: values in float32, dtype and device."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.losses.losses_operations import every_loss
from tests.losses.losses_strategies import Batch, batches
from tests.operations import TOLERANCE, assert_close, dtypes_inside
from tinysegrank import losses
from tinysegrank.backend import Backend

pytestmark = pytest.mark.slow


@every_loss
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])  # one backend for all examples
@given(batch=batches(scales=(1.0, 3.0)))
def test_any_batch_is_as_on_numpy_in_float64(loss: losses.Loss, backend: Backend, batch: Batch) -> None:
    """JAX is only asked for shapes and dtypes, of all that is computed on the way: it compiles each shape anew."""
    host = [array.astype(np.float32).astype(np.float64) for array in batch]  # what float32 can hold
    wanted = loss(*host)
    arrays = [backend.asarray(array, dtype="float32") for array in host]
    if backend.name == "jax":
        program, found = importlib.import_module("jax").make_jaxpr(loss, return_shape=True)(*arrays)
        assert "float64" not in dtypes_inside(program)
    else:
        found = loss(*arrays)
        assert all(array.device == arrays[0].device for array in found)
    for array, value in zip(found, wanted, strict=True):
        assert array.dtype == arrays[0].dtype
        assert tuple(array.shape) == value.shape
        if backend.name != "jax" and str(backend.device) != "meta":
            assert_close(array, value, TOLERANCE["float32"], least=0.1)
