"""Local response normalisation, ReLU, softmax and dropout: properties over drawn shapes and options, and the edges."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.nn import nn_loops as loops
from tests.nn.nn_strategies import AnyLayer, layers, seeds, shapes
from tests.operations import assert_close
from tinysegrank import nn
from tinysegrank.errors import ShapeError
from tinysegrank.testing import check_backward

# Local response normalisation ----------------------------------------------------------------------------------------


@given(layers("local_response_norm"))
def test_any_local_response_norm(case: AnyLayer) -> None:
    (x,) = case.arrays
    assert_close(case.forward(x)[0], loops.local_response_norm(x, **case.options))
    check_backward(case.forward, nn.local_response_norm_backward, [x], method="complex-step")


def test_local_response_norm_of_large_activations_in_float32(rng: np.random.Generator) -> None:
    """A running sum over 256 channels would lose three digits here."""
    x = (100 * rng.standard_normal((1, 256, 2, 2))).astype(np.float32)
    y, _ = nn.local_response_norm(x)
    assert_close(y, loops.local_response_norm(x.astype(np.float64)), 1e-6)


def test_local_response_norm_refuses_bad_input() -> None:
    for size in (0, -1, 4):
        with pytest.raises(ShapeError, match=f"size={size}"):
            nn.local_response_norm(np.ones((1, 3)), size=size)
    with pytest.raises(ShapeError, match=r"x \(N, C, ...\), not \(3,\)"):
        nn.local_response_norm(np.ones(3))


# ReLU ----------------------------------------------------------------------------------------------------------------


@given(hnp.arrays(np.float64, shapes, elements=st.floats(-10, 10)))
def test_relu_and_its_gradient_at_any_value(x: np.ndarray) -> None:
    y, context = nn.relu(x)
    np.testing.assert_array_equal(y, loops.relu(x))
    np.testing.assert_array_equal(nn.relu_backward(np.full(x.shape, 3.0), context), np.where(x > 0, 3.0, 0.0))


def test_relu_at_its_edges() -> None:
    x = np.array([-np.inf, -0.0, 0.0, np.inf, np.nan, 5e-324])
    y, context = nn.relu(x)
    np.testing.assert_array_equal(y, [0.0, 0.0, 0.0, np.inf, np.nan, 5e-324])
    np.testing.assert_array_equal(nn.relu_backward(np.ones(6), context), [0, 0, 0, 1, 0, 1])


# Softmax -------------------------------------------------------------------------------------------------------------


@given(shapes, seeds, st.data())
def test_softmax_over_any_axis(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = np.random.default_rng(seed).standard_normal(shape)
    q, _ = nn.softmax(x, axis=axis)
    log_q, _ = nn.log_softmax(x, axis=axis)
    assert_close(q, loops.softmax(x, axis))
    np.testing.assert_allclose(q.sum(axis=axis), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(log_q), q, rtol=1e-13)
    for forward, backward in ((nn.softmax, nn.softmax_backward), (nn.log_softmax, nn.log_softmax_backward)):
        check_backward(partial(forward, axis=axis), backward, [x], method="complex-step", tolerance=1e-10)


@given(shapes, seeds)
def test_softmax_does_not_see_a_constant(shape: tuple[int, ...], seed: int) -> None:
    """Adding the same to all scores changes nothing, so the gradients along the axis sum to 0."""
    rng = np.random.default_rng(seed)
    x, g = rng.integers(-8, 8, (2, *shape)).astype(float)
    for forward, backward in ((nn.softmax, nn.softmax_backward), (nn.log_softmax, nn.log_softmax_backward)):
        result, context = forward(x, axis=0)
        np.testing.assert_array_equal(forward(x + 1024.0, axis=0)[0], result)
        np.testing.assert_allclose(backward(g, context).sum(axis=0), 0, atol=1e-13 * max(1.0, np.abs(g).sum()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_scores_stay_finite(dtype: str) -> None:
    x = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]], dtype=dtype)
    q, context = nn.softmax(x)
    np.testing.assert_allclose(q, [[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0]], rtol=1e-6)
    assert np.isfinite(nn.softmax_backward(np.full_like(x, 1e30), context)).all()
    log_q, context = nn.log_softmax(x)
    expected = [[0, -2e4, -1e4], [-np.log(3)] * 3, [-np.log(2), -np.log(2), -2e4 - np.log(2)]]
    np.testing.assert_allclose(log_q, expected, rtol=1e-6)
    assert np.isfinite(nn.log_softmax_backward(np.full_like(x, 1e30), context)).all()


@pytest.mark.parametrize(("shape", "axis"), [((2, 3), 2), ((2, 3), -3), ((2, 0), 1), ((), 0)])
@pytest.mark.parametrize("function", [nn.softmax, nn.log_softmax])
def test_softmax_refuses_an_axis_that_is_not_there(function: Any, shape: tuple[int, ...], axis: int) -> None:
    with pytest.raises(ShapeError, match=f"axis {axis}"):
        function(np.zeros(shape), axis=axis)


# Dropout -------------------------------------------------------------------------------------------------------------


@given(hnp.arrays(np.float32, shapes, elements=st.floats(1, 9, width=32)), st.floats(0, 0.99), seeds)
def test_dropout_keeps_scaled_entries_or_drops_them(x: np.ndarray, p: float, seed: int) -> None:
    y, context = nn.dropout(x, p=p, rng=np.random.default_rng(seed))
    kept = y != 0
    np.testing.assert_allclose(y[kept], (x / (1 - p))[kept], rtol=1e-6)
    np.testing.assert_array_equal(nn.dropout_backward(np.ones_like(x), context) != 0, kept)
    again, _ = nn.dropout(x, p=p, rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(again, y)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float, rng: np.random.Generator) -> None:
    y, _ = nn.dropout(np.ones((200, 500), np.float32), p=p, rng=rng)
    deviation = np.sqrt(p * (1 - p) / y.size)  # of a share of independent draws
    assert abs(np.mean(y == 0) - p) < 4 * deviation
    assert abs(np.mean(y, dtype=np.float64) - 1) < 4 * deviation / (1 - p)


def test_dropout_is_the_identity_in_evaluation_and_at_0(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3))
    before = rng.bit_generator.state
    for y, context in (nn.dropout(x, p=0.5, rng=None), nn.dropout(x, p=0.0, rng=rng)):
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(nn.dropout_backward(x, context), x)
    assert rng.bit_generator.state == before  # nothing is drawn


def test_dropout_drops_the_draws_below_p() -> None:
    """A draw equal to p is kept: of the numbers 0, 1/4, 1/2 and 3/4, p = 1/2 drops half."""

    class Draws:
        def random(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
            return np.array([0, 0.25, 0.5, 0.75], dtype=dtype).reshape(shape)

    draws: Any = Draws()
    np.testing.assert_array_equal(nn.dropout(np.ones(4), p=0.5, rng=draws)[0], [0, 0, 2, 2])


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_dropout_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ShapeError, match="not a probability"):
        nn.dropout(np.ones(3), p=p, rng=None)
