"""What someone who knows torch tries first works, or gets an error that says what to do instead."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from tinysegrank import nn
from tinysegrank.errors import ShapeError
from tinysegrank.nn.torch_names import IN_NN
from tinysegrank.testing import check_backward


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 3, 9, 8)).astype(np.float32)


@pytest.fixture
def net(rng):
    return nn.Sequential([nn.Conv2d.initialised(3, 4, 3, rng=rng, bias=False), nn.ReLU(), nn.Dropout(0.5)])


def test_layers_may_be_a_list_arguments_or_named(net, x):
    for other in (nn.Sequential(*net), nn.Sequential(iter(net)), nn.Sequential(dict(net.layers))):
        assert list(other.layers) == ["0", "1", "2"] and list(other.parameters) == ["0.weight"]
        np.testing.assert_array_equal(other(x), net(x))
    np.testing.assert_array_equal(nn.Sequential(net)(x), net(x))
    assert len(nn.Sequential()) == 0 and len(net) == 3 and isinstance(net[-1], nn.Dropout)
    with pytest.raises(ShapeError, match="layer 1: function has no parameters"):
        nn.Sequential(nn.ReLU(), nn.relu)


def test_a_convolution_without_bias_has_a_bias_of_zeros(rng, x):
    weight = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    for array in (x, x.astype(np.float64)):
        w = weight.astype(array.dtype)
        expected, _ = nn.conv2d(array, w, np.zeros(4, array.dtype), stride=2)
        for found in (nn.conv2d(array, w, stride=2)[0], nn.conv2d(array, w, bias=None, stride=2)[0]):
            np.testing.assert_array_equal(found, expected)
        layer = nn.Conv2d(w, stride=2)
        np.testing.assert_array_equal(nn.Sequential(layer)(array), expected)
        y, context = layer.forward(array)
        gx, own = layer.backward(np.ones_like(y), context)
        gx_too, gweight, _ = nn.conv2d_backward(np.ones_like(y), nn.conv2d(array, w, np.zeros(4, w.dtype), stride=2)[1])
        assert list(own) == ["weight"]
        np.testing.assert_array_equal(own["weight"], gweight)
        np.testing.assert_array_equal(gx, gx_too)


def test_its_gradients_are_right(rng):
    arrays = [rng.standard_normal((2, 4, 6, 5)), rng.standard_normal((6, 2, 3, 3))]
    check_backward(
        lambda x, weight: nn.conv2d(x, weight, padding=1, groups=2),
        lambda gradient, context: nn.conv2d_backward(gradient, context, needs=(True, True, False))[:2],
        arrays,
    )


def test_layers_evaluate_when_called(net, x):
    np.testing.assert_array_equal(net[1](net[0](x)), net(x))
    np.testing.assert_array_equal(nn.Dropout(0.9)(x), x)


def test_initial_weights_have_the_deviation_of_he(rng):
    layer = nn.Conv2d.initialised(64, 256, (3, 5), rng=rng, groups=2, padding=1)
    weight, bias = layer.parameters["weight"], layer.parameters["bias"]
    assert weight.shape == (256, 32, 3, 5) and weight.dtype == np.float32 and not bias.any()
    assert weight.std() == pytest.approx((2 / (32 * 15)) ** 0.5, rel=0.02)
    assert nn.Conv2d.initialised(64, 256, 3, rng=rng, deviation=0.01).parameters["weight"].std() == pytest.approx(
        0.01, rel=0.02
    )


def test_a_network_prints_its_shapes_and_the_number_of_parameters(net, rng):
    whole = nn.Sequential({"body": net, "head": nn.Conv2d.initialised(4, 2, 1, rng=rng)})
    assert whole.num_parameters == 4 * 27 + 8 + 2
    assert repr(whole) == (
        "Sequential(\n"
        "  body: Sequential(\n"
        "    0: Conv2d(4 x 3 x 3 x 3, no bias, stride=1, padding=0, groups=1)\n"
        "    1: ReLU()\n"
        "    2: Dropout(p=0.5)\n"
        "  ), 108 parameters\n"
        "  head: Conv2d(2 x 4 x 1 x 1, stride=1, padding=0, groups=1)\n"
        "), 118 parameters"
    )


@pytest.mark.parametrize("arguments", [(3, 8, 3), (3, 8), (3, 8, (3, 3), 2)])
def test_a_convolution_from_numbers_names_what_makes_one(arguments):
    with pytest.raises(ShapeError, match=r"Conv2d\.initialised"):
        nn.Conv2d(*arguments)


@pytest.mark.parametrize("name", IN_NN)
def test_names_of_torch_say_what_to_use(name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; .* .*"):
        getattr(nn, name)


def test_methods_of_torch_say_what_to_do(net):
    for name in ("train", "eval", "zero_grad", "state_dict", "to", "load_state_dict"):
        with pytest.raises(AttributeError, match=f"Sequential has no '{name}'; .* .*"):
            getattr(net, name)
    with pytest.raises(AttributeError, match=r"ReLU has no 'colour'$"):
        _ = net[1].colour
    for name in ("nothing", "Nothing"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'$"):
            getattr(nn, name)


def test_networks_are_copied_and_pickled(net, x):
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other(x), net(x))
