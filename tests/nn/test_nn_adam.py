"""AdamW against torch, its first step by hand, the cosine schedule, bad options."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest

from tinysegrank import nn
from tinysegrank.errors import ConfigError, ShapeError

SHAPES = {"conv.weight": (2, 3), "conv.bias": (2,)}


def draws(rng: np.random.Generator, steps: int) -> list[dict[str, np.ndarray]]:
    return [{name: rng.standard_normal(shape) for name, shape in SHAPES.items()} for _ in range(steps)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"decay": 0.1},
        {"betas": (0.5, 0.9), "eps": 0.1, "decay": 0.01},
        {"decay": 0.5, "undecayed": ("conv.bias",)},
    ],
)
def test_steps_are_torchs(rng: np.random.Generator, options: dict[str, Any]) -> None:
    """torch's functional form, as importing the class's machinery takes seconds."""
    torch = pytest.importorskip("torch")
    adamw = importlib.import_module("torch.optim.adamw").adamw
    parameters, *steps = draws(rng, 12)
    tensors = {name: torch.tensor(array) for name, array in parameters.items()}
    mean, square = ({name: torch.zeros_like(tensor) for name, tensor in tensors.items()} for _ in range(2))
    count = {name: torch.zeros(()) for name in tensors}
    ours = nn.AdamW(rate=0.1, **options)
    b1, b2 = options.get("betas", (0.9, 0.999))
    for k, gradients in enumerate(steps):
        rate = nn.cosine_schedule(0.1, k, len(steps))
        before = {name: array.copy() for name, array in parameters.items()}
        updated = ours.step(parameters, gradients, rate=rate)
        np.testing.assert_equal(parameters, before)  # nothing is changed in place
        parameters = updated
        for name, gradient in gradients.items():
            adamw(
                [tensors[name]],
                [torch.tensor(gradient)],
                [mean[name]],
                [square[name]],
                [],
                [count[name]],
                amsgrad=False,
                beta1=b1,
                beta2=b2,
                lr=rate,
                weight_decay=0.0 if name in options.get("undecayed", ()) else options.get("decay", 0.0),
                eps=options.get("eps", 1e-8),
                maximize=False,
            )
    for name, tensor in tensors.items():
        np.testing.assert_allclose(parameters[name], tensor.numpy(), rtol=1e-10)


def test_a_first_step_is_as_long_as_the_rate_whatever_the_gradient() -> None:
    w = {"w": np.array([1.0, 1.0, 1.0])}
    updated = nn.AdamW(rate=0.25).step(w, {"w": np.array([1e-3, -1e5, 0.0])})
    np.testing.assert_allclose(updated["w"], [0.75, 1.25, 1.0], rtol=1e-4)
    assert nn.AdamW(rate=0.25).step(w, {}) == {}


def test_float32_stays_float32() -> None:
    w = {"w": np.ones(3, np.float32)}
    ours = nn.AdamW(rate=0.1, decay=0.1)
    for _ in range(2):
        w = ours.step(w, {"w": np.ones(3, np.float32)})
        assert w["w"].dtype == np.float32


def test_the_rate_falls_along_half_a_cosine() -> None:
    rates = [nn.cosine_schedule(2.0, step, 4) for step in range(5)]
    np.testing.assert_allclose(rates, [2, 1 + math.sqrt(0.5), 1, 1 - math.sqrt(0.5), 0], atol=1e-15)


@pytest.mark.parametrize(
    "options",
    [
        {"rate": -1.0},
        {"rate": math.nan},
        {"rate": 1.0, "betas": (1.0, 0.9)},
        {"rate": 1.0, "betas": (0.9, -0.1)},
        {"rate": 1.0, "eps": 0.0},
        {"rate": 1.0, "decay": -1.0},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="AdamW"):
        nn.AdamW(**options)


def test_a_gradient_needs_a_parameter_like_it() -> None:
    for gradients in ({"v": np.ones(2)}, {"w": np.ones(3)}, {"w": np.ones(2, np.int64)}):
        with pytest.raises(ShapeError, match="AdamW"):
            nn.AdamW(rate=0.1).step({"w": np.ones(2)}, gradients)
