"""Layers and their composition: the protocol, names, nesting, whole small networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.nn.nn_operations import conv, small_net, spaced_values
from tests.operations import assert_close
from tinysegrank import nn
from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError
from tinysegrank.testing import check_backward

LAYERS: dict[str, Callable[[np.random.Generator], Any]] = {
    "Conv2d": lambda rng: conv(rng, 3, 2, padding=1, stride=2),
    "MaxPool2d": lambda _: nn.MaxPool2d(size=2, stride=(1, 2), ceil_mode=False),
    "LocalResponseNorm": lambda _: nn.LocalResponseNorm(size=3, alpha=0.5, beta=0.6, k=1.5),
    "ReLU": lambda _: nn.ReLU(),
    "Softmax": lambda _: nn.Softmax(axis=-1),
    "Dropout": lambda _: nn.Dropout(p=0.3),
    "Sequential": lambda rng: small_net(rng, input_gradient=True),
}


@pytest.mark.parametrize("name", LAYERS)
class TestProtocol:
    def test_a_layer_passes_its_whole_gradient_check(self, name: str, rng: np.random.Generator) -> None:
        layer = LAYERS[name](rng)
        assert isinstance(layer, nn.Layer)
        names = list(layer.parameters)

        def forward(x: Array, *parameters: Array) -> tuple[Array, Any]:
            replace(layer, dict(zip(names, parameters, strict=True)))
            return layer.forward(x, rng=np.random.default_rng(5))

        def backward(gradient: Array, context: Any) -> tuple[Array, ...]:
            gx, gradients = layer.backward(gradient, context)
            assert gradients.keys() == set(names)
            return gx, *(gradients[n] for n in names)

        x = spaced_values(rng, (2, 2, 6, 6))
        check_backward(forward, backward, [x, *layer.parameters.values()], names=["x", *names])

    def test_gradients_are_left_out_on_request(self, name: str, rng: np.random.Generator) -> None:
        layer = LAYERS[name](rng)
        y, context = layer.forward(spaced_values(rng, (2, 2, 6, 6)))
        g = rng.standard_normal(y.shape)
        gx, gradients = layer.backward(g, context)
        assert gx is not None
        assert gradients.keys() == layer.parameters.keys()
        for needs_input, needs_parameters in np.ndindex(2, 2):
            needs = {"needs_input": bool(needs_input), "needs_parameters": bool(needs_parameters)}
            expected = gx if needs_input else None, gradients if needs_parameters else {}
            np.testing.assert_equal(layer.backward(g, context, **needs), expected)

    def test_evaluation_draws_nothing(self, name: str, rng: np.random.Generator) -> None:
        layer = LAYERS[name](rng)
        x = spaced_values(rng, (2, 2, 6, 6))
        np.testing.assert_array_equal(layer.forward(x)[0], layer.forward(x)[0])


def replace(layer: Any, parameters: dict[str, Array]) -> None:
    if isinstance(layer, nn.Sequential):
        layer.assign(parameters)
    else:
        layer.parameters.update(parameters)


def test_shells_hand_their_options_on(rng: np.random.Generator) -> None:
    x, weight, bias = rng.standard_normal((2, 4, 7, 8)), rng.standard_normal((4, 2, 3, 3)), rng.standard_normal(4)
    pairs: list[tuple[nn.Layer, tuple[Any, Any]]] = [
        (nn.Conv2d(weight, bias, stride=2, padding=(1, 0), groups=2),
         nn.conv2d(x, weight, bias, stride=2, padding=(1, 0), groups=2)),
        (nn.MaxPool2d(size=2, stride=3, ceil_mode=False), nn.max_pool2d(x, size=2, stride=3, ceil_mode=False)),
        (nn.MaxPool2d(), nn.max_pool2d(x)),
        (nn.LocalResponseNorm(), nn.local_response_norm(x)),
        (nn.LocalResponseNorm(size=3, alpha=1.0, beta=0.5, k=2.0),
         nn.local_response_norm(x, size=3, alpha=1.0, beta=0.5, k=2.0)),
        (nn.Softmax(axis=2), nn.softmax(x, axis=2)),
    ]  # fmt: skip
    for layer, (expected, _) in pairs:
        np.testing.assert_array_equal(layer.forward(x)[0], expected)
    for layer, p in ((nn.Dropout(p=0.25), 0.25), (nn.Dropout(), 0.5)):
        dropped, _ = layer.forward(x, rng=np.random.default_rng(3))
        np.testing.assert_array_equal(dropped, nn.dropout(x, p=p, rng=np.random.default_rng(3))[0])


def test_a_layer_may_be_used_twice(rng: np.random.Generator) -> None:
    """Contexts are the caller's, so one object may stand in two places."""
    relu, shared = nn.ReLU(), conv(rng, 2, 2, padding=1)
    layers = {"a": shared, "r": relu, "b": shared, "s": relu}
    net = nn.Sequential(layers, input_gradient=True)
    x = rng.standard_normal((1, 2, 4, 4))
    check_backward(net.forward, lambda g, c: net.backward(g, c)[0], [x])


def test_calling_is_evaluation(rng: np.random.Generator) -> None:
    net = nn.Sequential({"conv": conv(rng, 2, 2), "drop": nn.Dropout(p=0.5)})
    x = rng.standard_normal((1, 2, 5, 5))
    np.testing.assert_array_equal(net(x), net.forward(x)[0])
    assert np.any(net.forward(x, rng=rng)[0] != net(x))


# Names, assignment, nesting ------------------------------------------------------------------------------------------


def test_parameters_are_named_and_replaced_by_name(rng: np.random.Generator) -> None:
    net = small_net(rng, frozen=["conv2"])
    assert list(net.parameters) == [f"conv{i}.{p}" for i in (1, 2, 3) for p in ("weight", "bias")]
    assert list(net.trainable) == [n for n in net.parameters if not n.startswith("conv2")]
    other = small_net(np.random.default_rng(9))
    net.assign(other.parameters)
    x = rng.standard_normal((1, 2, 7, 7))
    np.testing.assert_array_equal(net(x), other(x))


def test_wrong_names_and_shapes_change_nothing(rng: np.random.Generator) -> None:
    net = small_net(rng)
    before = net.parameters
    good = np.zeros_like(before["conv1.bias"])
    with pytest.raises(ShapeError, match=r"conv9\.bias .*conv1\.weight, conv1\.bias"):
        net.assign({"conv1.bias": good, "conv9.bias": good})
    with pytest.raises(ShapeError, match=r"conv1\.weight of shape \(4,\): expected one of shape \(4, 2, 3, 3\)"):
        net.assign({"conv1.bias": good, "conv1.weight": good})
    assert all(net.parameters[name] is array for name, array in before.items())
    with pytest.raises(ShapeError, match=r"frozen=\['conv8', 'conv9'\]: no such layers; there are conv1, relu1"):
        small_net(rng, frozen=["conv9", "conv1", "conv8"])
    with pytest.raises(ShapeError, match=r"layers=\['conv\.1'\]"):
        nn.Sequential({"conv.1": nn.ReLU()})


def test_a_sequential_inside_another(rng: np.random.Generator) -> None:
    inner = {"conv": conv(rng, 2, 2, padding=1), "relu": nn.ReLU(), "last": conv(rng, 2, 2, padding=1)}
    flat = nn.Sequential({"first": conv(rng, 2, 2), **inner})
    block = nn.Sequential(inner, frozen=["last"], input_gradient=True)
    nested = nn.Sequential({"first": flat.layers["first"], "block": block})
    x = rng.standard_normal((1, 2, 6, 6))
    y, context = nested.forward(x)
    _, gradients = nested.backward(np.ones_like(y), context)
    _, expected = flat.backward(np.ones_like(y), flat.forward(x)[1])
    assert gradients.keys() == nested.trainable.keys()
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, expected[name.removeprefix("block.")])

    bias = nested.parameters["block.last.bias"]
    nested.assign({"block.last.bias": bias + 100.0})
    assert_close(nested(x), y + 100.0)


def test_a_layer_that_keeps_a_gradient_back_is_named(rng: np.random.Generator) -> None:
    block = nn.Sequential({"conv": conv(rng, 2, 2)})
    net = nn.Sequential({"first": conv(rng, 2, 2), "block": block})
    y, context = net.forward(rng.standard_normal((1, 2, 6, 6)))
    with pytest.raises(ShapeError, match="layer block returned no gradient for first below it"):
        net.backward(np.ones_like(y), context)
    net = nn.Sequential({"block": block}, input_gradient=True)
    y, context = net.forward(rng.standard_normal((1, 2, 6, 6)))
    with pytest.raises(ShapeError, match="layer block returned no gradient of the input; make it with input_gradient"):
        net.backward(np.ones_like(y), context)
