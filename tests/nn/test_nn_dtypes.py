"""The one rule for dtypes: integers and booleans are refused by name, float16 is as right as it can be.

Gradients of another shape than the output's are refused as well.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nn.nn_strategies import LAYERS, layers
from tests.operations import assert_close
from tinysegrank import nn
from tinysegrank.backend import Backend, get_backend
from tinysegrank.errors import ShapeError

HALF = 1e-3  # of the largest entry: float16 has 11 bits
CALLS: dict[str, tuple[Any, list[tuple[int, ...]]]] = {
    "conv2d": (nn.conv2d, [(1, 8, 5, 5), (8, 8, 3, 3), (8,)]),
    "max_pool2d": (nn.max_pool2d, [(1, 2, 4, 4)]),
    "local_response_norm": (nn.local_response_norm, [(1, 2, 4, 4)]),
    "relu": (nn.relu, [(2, 3)]),
    "softmax": (nn.softmax, [(2, 3)]),
    "log_softmax": (nn.log_softmax, [(2, 3)]),
    "dropout": (lambda x: nn.dropout(x, p=0.5, rng=np.random.default_rng(0)), [(2, 3)]),
}
NAMES = ("x", "weight", "bias")


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("dtype", ["uint8", "bool"])
def test_integers_and_booleans_are_refused_by_name(operation: str, dtype: str, backend: Backend) -> None:
    """In evaluation and backward too, on every backend."""
    forward, shapes = CALLS[operation]
    floats = [backend.asarray(np.ones(shape, np.float32)) for shape in shapes]
    for place, shape in enumerate(shapes):
        wrong = [*floats[:place], backend.asarray(np.ones(shape), dtype=dtype), *floats[place + 1 :]]
        with pytest.raises(ShapeError, match=rf"^{operation}: {NAMES[place]} is \S*{dtype}; pass floating numbers$"):
            forward(*wrong)
    result, context = forward(*floats)
    gradient = backend.asarray(np.ones(tuple(result.shape)), dtype=dtype)
    with pytest.raises(ShapeError, match=rf"^{operation}_backward: gradient is \S*{dtype}"):
        getattr(nn, f"{operation}_backward")(gradient, context)


@pytest.mark.parametrize("operation", CALLS)
def test_a_gradient_of_another_shape_is_refused(operation: str, backend: Backend) -> None:
    """One that would broadcast too, on every backend."""
    forward, shapes = CALLS[operation]
    result, context = forward(*(backend.asarray(np.ones(shape, np.float32)) for shape in shapes))
    expected = tuple(result.shape)
    for shape in (expected[1:], (*expected[:-1], 1), (2, *expected[1:-1], 7)):
        message = f"{operation}_backward: gradient has shape {shape}; give the output's, {expected}"
        with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
            getattr(nn, f"{operation}_backward")(backend.asarray(np.ones(shape, np.float32)), context)


def test_numpys_numbers_as_options_do_not_widen(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "0")
    x, half = backend.asarray(np.ones((2, 3), np.float32)), np.float64(0.5)
    made = [
        nn.local_response_norm(x, size=np.int64(3), alpha=half, beta=half, k=half)[0],
        nn.dropout(x, p=half, rng=np.random.default_rng(0))[0],
        nn.SGD(rate=half, momentum=half, decay=half).step({"w": x}, {"w": x}, rate=half)["w"],
        nn.AdamW(rate=half, betas=(half, half), eps=half, decay=half).step({"w": x}, {"w": x}, rate=half)["w"],
    ]
    assert [array.dtype for array in made] == [x.dtype] * 4


@pytest.mark.parametrize("accelerate", ["0", "1"])
def test_a_network_refuses_an_image_of_bytes(accelerate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", accelerate)
    weight, bias = np.ones((8, 8, 3, 3), np.float32), np.ones(8, np.float32)
    image = np.ones((1, 8, 5, 5), np.float32)
    with pytest.raises(ShapeError, match="conv2d: x is uint8"):
        nn.Sequential({"conv": nn.Conv2d(weight, bias)})(image.astype(np.uint8))
    with pytest.raises(ShapeError, match="conv2d: weight is int8"):
        nn.Sequential({"conv": nn.Conv2d(weight.astype(np.int8), bias)})(image)


def test_order_needs_real_numbers() -> None:
    x = np.ones((1, 1, 4, 4), complex)
    for operation in (nn.relu, nn.max_pool2d):
        with pytest.raises(ShapeError, match=f"{operation.__name__}: x is complex128"):
            operation(x)


def test_dropout_in_evaluation_and_an_optimiser_refuse_integers_too() -> None:
    with pytest.raises(ShapeError, match="dropout: x is int64"):
        nn.dropout(np.arange(3), p=0.5, rng=None)
    with pytest.raises(ShapeError, match="SGD: the gradient w is int64"):
        nn.SGD(rate=0.1).step({"w": np.ones(3)}, {"w": np.arange(3)})


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data())
def test_float16_is_float64_rounded(name: str, data: st.DataObject) -> None:
    case = data.draw(layers(name))
    half = [array.astype(np.float16) for array in case.arrays]
    exact, exact_context = case.forward(*[array.astype(float) for array in half])
    y, context = case.forward(*half)
    cotangent = np.random.default_rng(0).uniform(0.5, 2, exact.shape).astype(np.float16)
    found = y, *case.backward(cotangent, context)
    for array, value in zip(found, (exact, *case.backward(cotangent.astype(float), exact_context)), strict=True):
        assert array.dtype == np.float16
        assert_close(array, value, HALF, least=1.0)


def test_float16_neither_overflows_nor_stalls_inside(rng: np.random.Generator) -> None:
    """Squares of 300, a channel of 4,096 ones added to 2,048, a softmax over 70,000 classes."""
    large = np.full((1, 5, 1, 1), 300.0, np.float16)
    y, context = nn.local_response_norm(large, alpha=1.0)
    exact, exact_context = nn.local_response_norm(large.astype(float), alpha=1.0)
    assert_close(y, exact, HALF)
    gradients = (
        nn.local_response_norm_backward(g, c) for g, c in ((large, context), (large.astype(float), exact_context))
    )
    assert_close(*gradients, HALF)
    ones = np.ones((1, 4096, 1, 1), np.float16)
    assert nn.conv2d(ones, ones, np.full(1, 2048, np.float16))[0].item() == 6144
    assert nn.softmax(np.zeros((1, 70_000), np.float16))[0][0, 0] == np.float16(1 / 70_000)
    assert nn.log_softmax(np.zeros((1, 70_000), np.float16))[0][0, 0] == np.float16(-np.log(70_000))
    clipped, norm = nn.clip_by_norm({"a": large, "b": -large}, 1.0)
    assert float(norm) == pytest.approx(300 * np.sqrt(10))
    assert clipped["a"].dtype == np.float16
    assert_close(clipped["b"], np.full((1, 5, 1, 1), -1 / np.sqrt(10)), HALF)


def test_float16_keeps_what_is_finite_finite_and_nothing_else() -> None:
    """A sum beyond 65,504 becomes that; infinity and NaN stay."""
    x, weight, bias = np.full((1, 1, 1, 3), 1e4, np.float16), np.full((1, 1, 1, 1), 10, np.float16), np.zeros(1, "f2")
    x[..., 1:] = np.inf, np.nan
    np.testing.assert_array_equal(nn.conv2d(x, weight, bias)[0].ravel(), [65504, np.inf, np.nan])


@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize("function", [nn.softmax, nn.log_softmax, nn.local_response_norm])
def test_float16_of_other_libraries(library: str, function: Any, rng: np.random.Generator) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    backend, host = get_backend(library), rng.standard_normal((2, 6, 3, 3)).astype(np.float16)
    y, _ = function(backend.asarray(host))
    assert "float16" in str(y.dtype)
    assert_close(y, function(host.astype(float))[0], HALF)


def test_bfloat16_is_computed_in_float32() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    q, context = nn.softmax(torch.zeros(1, 70_000, dtype=torch.bfloat16))
    assert q.dtype == torch.bfloat16
    assert float(q[0, 0]) == pytest.approx(1 / 70_000, rel=0.01)
    assert nn.softmax_backward(q, context).dtype == torch.bfloat16


def test_mixed_dtypes_stay_refused() -> None:
    x, weight, bias = np.ones((1, 1, 3, 3), np.float16), np.ones((1, 1, 1, 1), np.float32), np.ones(1, np.float16)
    with pytest.raises(ShapeError, match="x is float16, weight float32, bias float16; convert them to one dtype"):
        nn.conv2d(x, weight, bias)
