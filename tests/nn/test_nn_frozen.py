"""Which gradients are computed: what frozen layers save, above and below those that are trained, blocks included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.nn.nn_operations import conv, small_net, spaced_values
from tinysegrank import nn
from tinysegrank.backend import Array
from tinysegrank.nn import layer as layer_module
from tinysegrank.testing import check_backward


class Counting:
    """A layer around another that counts its passes and notes which gradients were asked for."""

    def __init__(self, layer: nn.Layer) -> None:
        self.layer, self.parameters = layer, layer.parameters
        self.forwards, self.backwards, self.asked = 0, 0, (False, False)

    def forward(self, x: Array, *, rng: Any = None) -> tuple[Array, Any]:
        self.forwards += 1
        return self.layer.forward(x, rng=rng)

    def backward(
        self, gradient: Array, context: Any, *, needs_input: bool = True, needs_parameters: bool = True
    ) -> Any:
        self.backwards += 1
        self.asked = needs_input, needs_parameters
        return self.layer.backward(gradient, context, needs_input=needs_input, needs_parameters=needs_parameters)


@pytest.mark.parametrize(
    ("frozen", "visited"),
    [
        ((), 8),
        (("conv1",), 4),
        (("conv2",), 8),
        (("conv1", "conv2"), 2),
        (("conv1", "conv2", "conv3"), 0),
    ],
)
def test_nothing_is_done_below_the_lowest_trained_layer(
    frozen: tuple[str, ...], visited: int, rng: np.random.Generator
) -> None:
    full = small_net(rng, input_gradient=True)
    layers = {name: Counting(layer) for name, layer in full.layers.items()}
    net = nn.Sequential(layers, frozen=frozen)
    x = rng.standard_normal((2, 2, 7, 7))
    y, context = net.forward(x)
    g = rng.standard_normal(y.shape)
    gx, gradients = net.backward(g, context)

    assert gx is None
    assert len(context) == visited
    counted, lowest = list(layers.values()), 8 - visited
    assert [layer.forwards for layer in counted] == [1] * 8
    assert [layer.backwards for layer in counted] == [0] * lowest + [1] * visited
    assert [layer.asked[0] for layer in counted] == [i > lowest for i in range(8)]
    assert [layer.asked[1] for layer in counted[lowest:]] == [name not in frozen for name in list(layers)[lowest:]]

    _, everything = full.backward(g, full.forward(x)[1])
    assert gradients.keys() == {n for n in everything if n.split(".")[0] not in frozen} == net.trainable.keys()
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, everything[name])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool, bool]]:
    """Return the needs of each convolution's backward pass, from the last to the first; a matrix product for x, one for
    the weight."""
    asked = []

    def spy(gradient: Array, context: Any, *, needs: tuple[bool, bool, bool]) -> Any:
        asked.append(needs)
        return nn.conv2d_backward(gradient, context, needs=needs)

    monkeypatch.setattr(layer_module, "conv2d_backward", spy)
    return asked


ALL, ONLY_X, ONLY_PARAMETERS = (True, True, True), (True, False, False), (False, True, True)


@pytest.mark.parametrize(
    ("frozen", "input_gradient", "products"),
    [
        ((), False, [ALL, ALL, ONLY_PARAMETERS]),
        (("conv2",), False, [ALL, ONLY_X, ONLY_PARAMETERS]),
        (("conv2", "conv3"), False, [ONLY_X, ONLY_X, ONLY_PARAMETERS]),
        (("conv1", "conv3"), False, [ONLY_X, ONLY_PARAMETERS]),
        (("conv1", "conv2", "conv3"), False, []),
        ((), True, [ALL, ALL, ALL]),
        (("conv1", "conv3"), True, [ONLY_X, ALL, ONLY_X]),
        (("conv1", "conv2", "conv3"), True, [ONLY_X, ONLY_X, ONLY_X]),
    ],
)
@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_a_frozen_layer_computes_only_what_those_below_need(
    frozen: tuple[str, ...], input_gradient: bool, products: list[Any], nested: bool, asked: Any, rng: Any
) -> None:
    """Each is frozen by name, or as a block of its own, or in a block that is frozen as a whole."""
    layers = small_net(rng).layers
    net: Any = nn.Sequential(layers, frozen=frozen, input_gradient=input_gradient)
    expected = net
    if nested:
        blocks = {n: nn.Sequential({"in": layer}, input_gradient=True) for n, layer in layers.items()}
        inner = nn.Sequential(blocks, frozen=frozen, input_gradient=input_gradient)
        net = nn.Sequential({"net": inner}, input_gradient=input_gradient)
    x = spaced_values(rng, (2, 2, 7, 7))
    y, context = net.forward(x)
    gx, gradients = net.backward(np.ones_like(y), context)
    assert asked == products
    assert (gx is not None) == input_gradient
    wanted_gx, wanted = expected.backward(np.ones_like(y), expected.forward(x)[1])
    np.testing.assert_equal(gx, wanted_gx)
    assert gradients.keys() == net.trainable.keys()
    np.testing.assert_equal(list(gradients.values()), list(wanted.values()))


def test_blocks_obey_what_is_asked_of_them(asked: Any, rng: np.random.Generator) -> None:
    """A block of frozen layers costs nothing, nor do those of its layers that nobody asks."""
    first, middle, last = (conv(rng, 2, 2, padding=1) for _ in range(3))
    x, g = rng.standard_normal((1, 2, 5, 5)), rng.standard_normal((1, 2, 5, 5))
    block = nn.Sequential({"a": first, "b": middle}, frozen=["a"], input_gradient=True)
    _, context = block.forward(x)
    for needs, products in [
        ({"needs_input": True, "needs_parameters": True}, [ALL, ONLY_X]),
        ({"needs_input": False, "needs_parameters": True}, [ONLY_PARAMETERS]),  # not through the frozen first
        ({"needs_input": True, "needs_parameters": False}, [ONLY_X, ONLY_X]),
        ({"needs_input": False, "needs_parameters": False}, []),
    ]:
        gx, gradients = block.backward(g, context, **needs)
        assert asked == products
        assert (gx is not None) == needs["needs_input"]
        assert gradients.keys() == (block.trainable.keys() if needs["needs_parameters"] else set())
        asked.clear()

    frozen = nn.Sequential({"a": first, "b": middle}, frozen=["a", "b"])  # nothing to train, though it is not frozen
    net = nn.Sequential({"block": frozen, "last": last})
    _, context = net.forward(x)
    assert len(context) == 1
    _, gradients = net.backward(g, context)
    assert asked == [ONLY_PARAMETERS]
    assert gradients.keys() == net.trainable.keys() == {"last.weight", "last.bias"}


def test_a_layer_may_return_more_than_is_needed(rng: np.random.Generator) -> None:
    """The simplest layer of one's own looks at neither question."""

    class Scale:
        def __init__(self) -> None:
            self.parameters: dict[str, Array] = {"factor": np.array(2.0)}

        def forward(self, x: Array, *, rng: Any = None) -> tuple[Array, Any]:
            return x * self.parameters["factor"], x

        def backward(self, gradient: Array, context: Any, **needs: bool) -> tuple[Array, dict[str, Array]]:
            return gradient * self.parameters["factor"], {"factor": np.sum(gradient * context)}

    assert isinstance(Scale(), nn.Layer)
    net = nn.Sequential({"a": Scale(), "b": Scale(), "c": Scale()}, frozen=["c"])
    _, context = net.forward(np.ones(3))
    gx, gradients = net.backward(np.ones(3), context)
    assert gx is None
    assert {name: float(g) for name, g in gradients.items()} == {"a.factor": 12.0, "b.factor": 12.0}


def test_the_gradient_of_the_input_passes_frozen_layers(rng: np.random.Generator) -> None:
    net = small_net(rng, frozen=["conv1", "conv2", "conv3"], input_gradient=True)

    def backward(gradient: Array, context: Any) -> Array:
        gx, gradients = net.backward(gradient, context)
        assert gradients == {}
        return gx

    check_backward(net.forward, backward, [spaced_values(rng, (2, 2, 7, 7))])
