"""SGD against Caffe's rule in a hand loop and against torch, clipping against torch, state, schedule, bad options."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.operations import assert_close
from tinysegrank import nn
from tinysegrank.backend import Backend, to_numpy
from tinysegrank.errors import CheckpointError, ConfigError, ShapeError

SHAPES = {"conv.weight": (2, 3), "conv.bias": (2,)}


def draws(rng: np.random.Generator, steps: int) -> list[dict[str, np.ndarray]]:
    return [{name: rng.standard_normal(shape) for name, shape in SHAPES.items()} for _ in range(steps)]


@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.99),
    st.floats(0, 1),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
    st.tuples(st.floats(0, 4), st.floats(0, 4)),
)
def test_steps_follow_caffes_rule(
    seed: int, momentum: float, decay: float, rates: list[float], factors: tuple[float, float]
) -> None:
    """Number by number: v = momentum v + rate (g + decay w), w = w - v. The rate is inside v, unlike in torch."""
    first, *steps = draws(np.random.default_rng(seed), 1 + len(rates))
    optimiser = nn.SGD(rate=0.5, momentum=momentum, decay=decay, multipliers={"conv.bias": factors})
    parameters = dict(first)
    w = {name: array.ravel().tolist() for name, array in first.items()}
    v = {name: [0.0] * len(values) for name, values in w.items()}
    for rate, gradients in zip(rates, steps, strict=True):
        parameters = optimiser.step(parameters, gradients, rate=rate)
        for name in w:
            rate_factor, decay_factor = factors if name == "conv.bias" else (1.0, 1.0)
            for i, g in enumerate(gradients[name].ravel().tolist()):
                v[name][i] = momentum * v[name][i] + rate * rate_factor * (g + decay * decay_factor * w[name][i])
                w[name][i] -= v[name][i]
    for name, values in w.items():
        np.testing.assert_allclose(parameters[name].ravel(), values, rtol=1e-12, atol=1e-12)


def test_at_a_constant_rate_it_is_torchs_rule(rng: np.random.Generator) -> None:
    """torch's functional form, as importing the class's machinery takes seconds."""
    torch = pytest.importorskip("torch")
    sgd = importlib.import_module("torch.optim.sgd").sgd
    parameters, *steps = draws(rng, 8)
    tensors = [torch.tensor(array) for array in parameters.values()]
    buffers: list[Any] = [None for _ in tensors]
    options: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}
    ours = nn.SGD(rate=0.1, momentum=0.9, decay=0.05)
    for gradients in steps:
        parameters = ours.step(parameters, gradients)
        g = [torch.tensor(array) for array in gradients.values()]
        sgd(tensors, g, buffers, **options, dampening=0.0, nesterov=False, maximize=False)
    for array, tensor in zip(parameters.values(), tensors, strict=True):
        assert_close(array, tensor)


def test_only_what_has_a_gradient_moves(rng: np.random.Generator) -> None:
    parameters, gradients = draws(rng, 2)
    before = {name: array.copy() for name, array in parameters.items()}
    updated = nn.SGD(rate=0.1).step(parameters, {"conv.bias": gradients["conv.bias"]})
    assert updated.keys() == {"conv.bias"}
    np.testing.assert_equal(parameters, before)  # nothing is changed in place


def test_a_first_step_by_default_is_plain_descent(rng: np.random.Generator) -> None:
    """No velocity yet, no decay, no clipping; and at rate 0 nothing moves."""
    parameters, gradients = draws(rng, 2)
    moved = nn.SGD(rate=0.1).step(parameters, gradients)
    stayed = nn.SGD(rate=0.0).step(parameters, gradients)
    for name, w in parameters.items():
        np.testing.assert_array_equal(moved[name], w - 0.1 * gradients[name])
        np.testing.assert_array_equal(stayed[name], w)


# Clipping ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 2.5, 100.0])
def test_clipping_is_torchs(max_norm: float, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    (gradients,) = draws(rng, 1)
    tensors = [torch.zeros(g.shape, requires_grad=True) for g in gradients.values()]
    for tensor, gradient in zip(tensors, gradients.values(), strict=True):
        tensor.grad = torch.tensor(gradient, dtype=torch.float32)
    expected = torch.nn.utils.clip_grad_norm_(tensors, max_norm)
    clipped, norm = nn.clip_by_norm(gradients, max_norm)
    assert float(norm) == pytest.approx(float(expected), rel=1e-6)
    for tensor, gradient in zip(tensors, clipped.values(), strict=True):
        np.testing.assert_allclose(gradient, tensor.grad, rtol=2e-6)


def test_clipping_only_ever_scales_down(rng: np.random.Generator) -> None:
    """Long gradients and short ones."""
    for size in (1.0, 0.01):
        gradients = {name: size * g for name, g in draws(rng, 1)[0].items()}
        joint = math.sqrt(sum(float(np.sum(g**2)) for g in gradients.values()))
        for max_norm in (joint / 3, joint, 3 * joint, math.inf):
            clipped, norm = nn.clip_by_norm(gradients, max_norm)
            assert float(norm) == pytest.approx(joint, rel=1e-15)
            factor = min(1.0, max_norm / joint)
            for name, gradient in gradients.items():
                np.testing.assert_allclose(clipped[name], factor * gradient, rtol=1e-15)


def test_without_a_limit_not_even_infinite_gradients_change() -> None:
    """A training that diverges shows an infinity, not a NaN of the clipping's own."""
    gradients = {"a": np.array([1.0, np.inf])}
    clipped, norm = nn.clip_by_norm(gradients, math.inf)
    np.testing.assert_equal(clipped, gradients)
    assert norm == math.inf


def test_gradients_of_0_stay_0() -> None:
    """All cells void: nothing to divide by."""
    gradients = {"a": np.zeros((2, 2), np.float32), "b": np.zeros(3, np.float32)}
    clipped, norm = nn.clip_by_norm(gradients, 1.0)
    np.testing.assert_equal(clipped, gradients)
    assert norm == 0
    assert nn.clip_by_norm({}, 1.0) == ({}, 0)


def test_a_step_clips_before_momentum_and_decay(rng: np.random.Generator) -> None:
    parameters, gradients = draws(rng, 2)
    clipped, _ = nn.clip_by_norm(gradients, 0.1)
    with_option = nn.SGD(rate=0.5, decay=0.1, max_norm=0.1).step(parameters, gradients)
    by_hand = nn.SGD(rate=0.5, decay=0.1).step(parameters, clipped)
    np.testing.assert_equal(with_option, by_hand)


# State ---------------------------------------------------------------------------------------------------------------


def test_a_restored_optimiser_goes_on_to_the_bit(backend: Backend, rng: np.random.Generator) -> None:
    if str(backend.device) == "meta":
        pytest.skip("meta tensors have no values")
    first, *steps = [
        {name: backend.asarray(array, dtype="float32") for name, array in drawn.items()} for drawn in draws(rng, 5)
    ]
    options: dict[str, Any] = {"rate": 0.1, "decay": 0.01, "max_norm": 1.0, "multipliers": {"conv.bias": (2.0, 0.0)}}
    straight, stopped = nn.SGD(**options), nn.SGD(**options)
    at_once = halfway = first
    for gradients in steps:
        at_once = straight.step(at_once, gradients)
    for gradients in steps[:2]:
        halfway = stopped.step(halfway, gradients)
    state = {name: array.copy() for name, array in stopped.state().items()}
    for array in state.values():
        array.flags.writeable = False  # as read from a file
    resumed = nn.SGD(**options)
    resumed.restore(state, halfway)
    for gradients in steps[2:]:
        halfway = resumed.step(halfway, gradients)
    for name, array in at_once.items():
        assert array.dtype == first[name].dtype
        assert array.device == first[name].device
        np.testing.assert_array_equal(to_numpy(halfway[name]), to_numpy(array))


def test_velocities_that_fit_nothing_are_refused(rng: np.random.Generator) -> None:
    (parameters,) = draws(rng, 1)
    with pytest.raises(CheckpointError, match=r"velocity conv\.bias of shape \(3,\) fits no parameter"):
        nn.SGD(rate=1.0).restore({"conv.bias": np.zeros(3)}, parameters)
    with pytest.raises(CheckpointError, match="velocity conv9"):
        nn.SGD(rate=1.0).restore({"conv9.bias": np.zeros(2)}, parameters)


# Schedule and bad options --------------------------------------------------------------------------------------------


def test_the_rate_falls_at_each_drop() -> None:
    rates = [nn.step_schedule(0.01, step, drops=(3, 5)) for step in range(7)]
    np.testing.assert_allclose(rates, [1e-2] * 3 + [1e-3] * 2 + [1e-4] * 2)
    assert nn.step_schedule(0.5, 10**6, drops=()) == 0.5
    assert nn.step_schedule(0.5, 4, drops=(4,), factor=0.5) == 0.25


@pytest.mark.parametrize(
    "options",
    [
        {"rate": -1.0},
        {"rate": math.nan},
        {"rate": 1.0, "momentum": 1.0},
        {"rate": 1.0, "momentum": -0.1},
        {"rate": 1.0, "decay": -1.0},
        {"rate": 1.0, "max_norm": 0.0},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{list(options)[-1]}={list(options.values())[-1]}"):
        nn.SGD(**options)


def test_a_gradient_without_its_parameter_is_refused(rng: np.random.Generator) -> None:
    parameters, gradients = draws(rng, 2)
    with pytest.raises(ShapeError, match=r"conv9 of shape \(2,\)"):
        nn.SGD(rate=1.0).step(parameters, {"conv9": gradients["conv.bias"]})
    with pytest.raises(ShapeError, match=r"conv\.weight of shape \(2,\)"):
        nn.SGD(rate=1.0).step(parameters, {"conv.weight": gradients["conv.bias"]})
