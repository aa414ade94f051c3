"""SegNet's shapes, sizes, field of view and gradients; other libraries run it in the parity tests."""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.segnet.segnet_toys import CHANNELS, CLASSES, in_float64, thin_model
from tinysegrank.backend import Array, Backend, to_numpy
from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.losses import soft_cross_entropy
from tinysegrank.nn import SGD, conv2d_backward, layer
from tinysegrank.segnet import PRESETS, SegNet
from tinysegrank.segnet.network import TRUNK
from tinysegrank.testing import check_backward

HEAD = {f"conv{n}.{kind}" for n in (6, 7, 8) for kind in ("weight", "bias")}


def inputs(rng: np.random.Generator, count: int = 2, size: int = 113, dtype: str = "float32") -> np.ndarray:
    return rng.standard_normal((count, 3, size, size)).astype(dtype)


# Shapes and sizes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["caffenet", "alexnet"])
def test_shapes_at_the_size_of_imagenet(preset: str) -> None:
    model = SegNet(21, preset)
    x = np.zeros((1, 3, 227, 227), np.float32)
    features = model.features(x)
    assert features.shape == (1, 256, 13, 13)
    assert model.forward_features(features).shape == (1, 21, 13, 13)
    assert model.features(np.zeros((1, 3, 231, 231), np.float32)).shape == (1, 256, 14, 14)  # pools round up


def test_shapes_of_tiny(rng: np.random.Generator) -> None:
    model = SegNet(5, "tiny")
    size = model.preset.preprocessing.size
    assert model.features(inputs(rng, 2, size)).shape == (2, 64, 13, 13)
    assert model.forward(inputs(rng, 2, size)).shape == (2, 5, 13, 13)


def count(parameters: dict[str, Array]) -> int:
    return sum(array.size for array in parameters.values())


@pytest.mark.parametrize("preset", ["caffenet", "alexnet"])
def test_number_of_parameters(preset: str) -> None:
    """conv1 to conv5 by multiplication; 60,965,224 are CaffeNet's in all, and the paper's share is below a tenth."""
    model = SegNet(21, preset)
    trunk = 96 * (3 * 121 + 1) + 256 * (48 * 25 + 1) + 384 * (256 * 9 + 1) + 384 * (192 * 9 + 1) + 256 * (192 * 9 + 1)
    head = 128 * (256 * 9 + 1) + 128 * (128 * 9 + 1) + 21 * (128 * 9 + 1)
    assert count(model.trunk.parameters) == trunk == 2_334_080
    assert count(model.trainable) == count(model.head.parameters) == head == 466_837
    assert count(model.parameters) < 0.1 * 60_965_224


def test_initial_weights() -> None:
    model = SegNet(21, "caffenet")
    for name, array in model.parameters.items():
        if name.endswith("bias"):
            assert not array.any()
        else:
            deviation = 0.01 if name.startswith("conv8") else np.sqrt(2 / np.prod(array.shape[1:]))
            assert np.std(array) == pytest.approx(deviation, rel=0.03)
            assert abs(np.mean(array)) < 0.03 * deviation
        assert array.dtype == np.float32


def test_initial_weights_are_the_generators() -> None:
    same, other = thin_model(3), thin_model(4)
    for name, array in thin_model(3).parameters.items():
        np.testing.assert_array_equal(array, same.parameters[name])
        assert name.endswith("bias") or not np.array_equal(array, other.parameters[name])
    assert np.array_equal(SegNet(4, "thin").parameters["conv1.weight"], thin_model(0).parameters["conv1.weight"])


def test_unknown_names() -> None:
    with pytest.raises(ConfigError, match='preset="vgg": choose one of alexnet, caffenet, torchvision, tiny'):
        SegNet(preset="vgg")
    for wrong in ({"num_classes": 0}, {"dropout": 1.0}, {"dropout": -0.1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            SegNet(preset="tiny", **wrong)
    with pytest.raises(ShapeError, match="conv9"):
        SegNet(4, "thin", frozen=("conv9",))
    with pytest.raises(ShapeError, match="conv9"):
        thin_model().assign({"conv9.weight": np.zeros(1, np.float32)})
    with pytest.raises(ShapeError, match=r"conv8.bias of shape \(5,\)"):
        thin_model().assign({"conv8.bias": np.zeros(5, np.float32)})


def test_orders_differ_in_pool_and_norm(rng: np.random.Generator) -> None:
    names = {
        preset: [n for n in SegNet(4, preset).trunk.layers if n[:-1] in ("pool", "norm")]
        for preset in ("thin", "thin-alexnet")
    }
    assert names == {"thin": ["pool1", "norm1", "pool2", "norm2"], "thin-alexnet": ["norm1", "pool1", "norm2", "pool2"]}
    x = inputs(rng, 1) * 100
    one, other = (SegNet(4, preset).features(x) for preset in names)
    assert not np.allclose(one, other, rtol=1e-3)


# What a cell sees ----------------------------------------------------------------------------------------------------


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn Numba versions off: that of a convolution lets a NaN spoil its whole tile."""
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "0")


def seen_by(cell: int, output: Callable[[np.ndarray], np.ndarray], size: int, pixels: list[int]) -> list[bool]:
    """Whether the cell on the diagonal sees each pixel of its row: a NaN there reaches it."""
    x = np.zeros((len(pixels), 3, size, size), np.float32)
    for image, pixel in enumerate(pixels):
        x[image, 0, size // 2, pixel] = np.nan
    z = output(x)[:, 0]  # (pixels, 13, 13)
    return [bool(np.isnan(z[image, 6, cell])) for image in range(len(pixels))]


@pytest.mark.parametrize("cell", [0, 3, 6, 12])
@pytest.mark.parametrize(("layer", "field"), [("conv5", 163), ("conv6", 195), ("conv7", 227), ("conv8", 259)])
@pytest.mark.usefixtures("readable")
def test_field_of_view(cell: int, layer: str, field: int) -> None:
    """Cell i is centred at pixel 17 + 16 i of 227; the whole image is in view of the middle cells of conv8."""
    model = SegNet(4, "thin-caffenet")
    names = list(model.network.layers)

    def output(x: np.ndarray) -> np.ndarray:
        for name in names[: names.index(layer) + 1]:
            x, _ = model.network.layers[name].forward(x)
        return x

    first, last = 17 + 16 * cell - field // 2, 17 + 16 * cell + field // 2
    pixels = [pixel for pixel in (first - 1, first, last, last + 1, 0, 226) if 0 <= pixel < 227]
    assert seen_by(cell, output, 227, pixels) == [first <= pixel <= last for pixel in pixels]


@pytest.mark.usefixtures("readable")
def test_the_head_sees_the_whole_image_from_the_middle() -> None:
    model = SegNet(4, "thin-caffenet")
    assert all(seen_by(6, model.network, 227, [0, 226]))
    assert not all(seen_by(6, model.features, 227, [0, 226]))


# Forward -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 0.155])
def test_features_then_head_is_the_whole(rng: np.random.Generator, scale: float) -> None:
    model = thin_model(feature_scale=scale)
    x = inputs(rng)
    np.testing.assert_array_equal(model.forward_features(model.features(x)), model.forward(x))
    np.testing.assert_array_equal(model.head(model.features(x)), model.network(x))


def test_feature_scale_multiplies_what_conv6_sees(rng: np.random.Generator) -> None:
    features = np.abs(rng.standard_normal((2, CHANNELS, 13, 13), np.float32))
    one, other = thin_model(feature_scale=0.5), thin_model()
    np.testing.assert_array_equal(one.forward_features(features), other.forward_features(0.5 * features))
    other.feature_scale = 0.5
    np.testing.assert_array_equal(one.forward_features(features), other.forward_features(features))


def test_dropout_is_active_with_a_generator_only(rng: np.random.Generator) -> None:
    model = thin_model()
    features = np.abs(rng.standard_normal((2, CHANNELS, 13, 13), np.float32))

    def scores(seed: int | None) -> np.ndarray:
        return model.forward_features(features, rng=None if seed is None else np.random.default_rng(seed))

    np.testing.assert_array_equal(scores(None), scores(None))
    np.testing.assert_array_equal(scores(1), scores(1))
    assert not np.allclose(scores(1), scores(2))
    assert not np.allclose(scores(1), scores(None))
    model = thin_model(dropout=0.0)
    np.testing.assert_array_equal(scores(1), scores(None))


# Backward ------------------------------------------------------------------------------------------------------------


def as_functions(model: SegNet, x: np.ndarray, *, head: bool, seed: int | None) -> tuple[Any, Any, list[str]]:
    """The network as forward and backward functions of its trainable parameters."""
    names = list(model.trainable)

    def forward(*arrays: np.ndarray) -> tuple[np.ndarray, None]:
        model.assign(dict(zip(names, arrays, strict=True)))
        rng = None if seed is None else np.random.default_rng(seed)
        return (model.forward_features if head else model.forward)(x, rng=rng), None

    def backward(gradient: np.ndarray, context: None) -> tuple[np.ndarray, ...]:
        gradients = model.backward(gradient)
        return tuple(gradients[name] for name in names)

    return forward, backward, names


@pytest.mark.parametrize("preset", ["thin", "thin-alexnet"])
@pytest.mark.parametrize("seed", [None, 5])
def test_gradient_of_every_layer(rng: np.random.Generator, preset: str, seed: int | None) -> None:
    """In float64 and with a small step, as a larger one crosses kinks of ReLU and pooling."""
    model = in_float64(SegNet(CLASSES, preset, rng=rng, frozen=(), feature_scale=0.7))
    forward, backward, names = as_functions(model, inputs(rng, dtype="float64"), head=False, seed=seed)
    assert len(names) == 16
    arrays = [model.trainable[name] for name in names]
    check_backward(forward, backward, arrays, names=names, rng=rng, step=1e-8, tolerance=2e-6)


@pytest.mark.parametrize("seed", [None, 5])
def test_gradient_of_the_head_on_features(rng: np.random.Generator, seed: int | None) -> None:
    model = in_float64(thin_model(feature_scale=0.7))
    features = np.abs(rng.standard_normal((3, CHANNELS, 13, 13)))
    forward, backward, names = as_functions(model, features, head=True, seed=seed)
    assert set(names) == HEAD
    arrays = [model.trainable[name] for name in names]
    check_backward(forward, backward, arrays, names=names, rng=rng, step=1e-7)


def test_only_what_is_trained_gets_a_gradient(rng: np.random.Generator) -> None:
    x = inputs(rng)
    for frozen, trained in [
        (("conv1", "conv2", "conv3", "conv4", "conv5"), HEAD),
        (("conv1", "conv2", "conv3", "conv4", "conv5", "conv7"), HEAD - {"conv7.weight", "conv7.bias"}),
        (("conv1", "conv2"), HEAD | {f"conv{n}.{kind}" for n in (3, 4, 5) for kind in ("weight", "bias")}),
    ]:
        model = thin_model(frozen=frozen)
        z = model.forward(x)
        gradients = model.backward(np.ones_like(z))
        assert gradients.keys() == model.trainable.keys() == trained
        z = model.forward_features(model.features(x))
        of_the_head = model.backward(np.ones_like(z))
        assert of_the_head.keys() == trained & HEAD
        for name, gradient in of_the_head.items():
            np.testing.assert_array_equal(gradient, gradients[name])


def test_a_frozen_layer_of_the_head_costs_no_product_for_its_weight(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def spy(gradient: Array, context: Any, *, needs: tuple[bool, bool, bool]) -> Any:
        asked.append(needs)
        return conv2d_backward(gradient, context, needs=needs)

    monkeypatch.setattr(layer, "conv2d_backward", spy)
    model = thin_model(frozen=(*TRUNK, "conv7"))
    features = np.abs(rng.standard_normal((2, CHANNELS, 13, 13), np.float32))
    for forward, x in ((model.forward_features, features), (model.forward, inputs(rng))):
        asked.clear()
        model.backward(np.ones_like(forward(x)))
        assert asked == [(True, True, True), (True, False, False), (False, True, True)]


def test_backward_needs_a_forward(rng: np.random.Generator) -> None:
    model = thin_model()
    gradient = np.ones((1, CLASSES, 13, 13), np.float32)
    with pytest.raises(ShapeError, match="call forward first"):
        model.backward(gradient)
    model.forward(inputs(rng, 1))
    model.backward(gradient)
    with pytest.raises(ShapeError, match="call forward first"):
        model.backward(gradient)


def test_every_backend(backend: Backend, rng: np.random.Generator) -> None:
    """One step of training on images; torch's meta device has shapes and no values, and refuses to wait for any."""
    x = inputs(rng, 2)
    target = np.ascontiguousarray(rng.dirichlet(np.ones(CLASSES), (2, 13, 13)).astype("float32").transpose(0, 3, 1, 2))

    def step(model: SegNet, parameters: dict[str, Array], x: Array, target: Array) -> dict[str, Array]:
        model.network.assign(parameters)
        z = model.forward(x, rng=np.random.default_rng(1))
        _, grad_z = soft_cross_entropy(z, target)
        gradients = model.backward(grad_z)
        updated = SGD(rate=0.1, decay=0.01, max_norm=0.5).step(model.trainable, gradients)
        return {"z": z, **gradients, **{f"new {name}": array for name, array in updated.items()}}

    frozen = ("conv1", "conv2", "conv3")
    host, model = thin_model(frozen=frozen), thin_model(frozen=frozen, backend=backend)
    expected = step(host, host.parameters, x, target)
    run = functools.partial(step, model)
    if backend.name == "jax":  # compiled as a whole: far faster than step by step
        run = importlib.import_module("jax").jit(run)
    made = backend.asarray(x)
    found = run(dict(model.parameters), made, backend.asarray(target))
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.dtype == made.dtype
        assert array.device == made.device
        assert tuple(array.shape) == expected[name].shape
        if str(backend.device) != "meta":
            largest = np.max(np.abs(expected[name]))
            np.testing.assert_allclose(to_numpy(array), expected[name], rtol=0, atol=1e-4 * largest, err_msg=name)


def test_presets_make_a_grid_of_13(rng: np.random.Generator) -> None:
    """By the formulas of convolution and pooling, for every preset there is."""
    for name, preset in PRESETS.items():
        size = preset.preprocessing.size
        for number, shape in enumerate(preset.convolutions, start=1):
            size = (size + 2 * shape.padding - shape.size) // shape.stride + 1
            size = -(-(size - 3) // 2) + 1 if number <= 2 else size
        assert size == 13, name
        for shape, after in itertools.pairwise(preset.convolutions):
            assert shape.filters % after.groups == 0
