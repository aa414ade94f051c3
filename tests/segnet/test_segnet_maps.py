"""The trunk's maps: layer by layer the readable functions', at SegNet's size its own features, sizes and bad input."""

from __future__ import annotations

import numpy as np
import pytest

from tests.segnet.segnet_toys import CHANNELS, CLASSES
from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.segnet import SegNet, TrunkMaps


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (40, 61, 3), dtype=np.uint8)


@pytest.mark.parametrize(("preset", "size"), [("thin", 225), ("thin-alexnet", 225), ("thin-caffenet", 451)])
def test_twice_the_input_is_twice_the_grid(image, preset, size):
    model = SegNet(CLASSES, preset)
    maps = TrunkMaps(model, size=size)(image)
    assert [part.shape for part in maps] == [(CHANNELS, 27, 27)] * 3
    own = TrunkMaps(model, size=model.preset.preprocessing.size)(image)
    assert [part.shape for part in own] == [(CHANNELS, 13, 13)] * 3


@pytest.mark.parametrize("preset", ["thin", "thin-alexnet"])
def test_maps_are_what_each_layer_gives_in_float64(image, preset):
    model = SegNet(CLASSES, preset)
    layers = ("conv4", "conv1", "conv5")  # in any order
    maps = TrunkMaps(model, size=141, layers=layers)(image)
    x = type(model.preset.preprocessing)(141, (0.45,) * 3, (0.25,) * 3, 1 / 255).apply(image)[None].astype(np.float64)
    expected = {}
    for name, layer in model.trunk.layers.items():
        layer.parameters = {key: array.astype(np.float64) for key, array in layer.parameters.items()}
        x, _ = layer.forward(x)
        expected[name] = x[0]
    for convolution, found in zip(layers, maps, strict=True):
        assert found.dtype == np.float32
        assert found.min() >= 0
        np.testing.assert_allclose(found, expected[convolution.replace("conv", "relu")], atol=1e-5)


def test_at_segnets_size_conv5_is_its_features(image):
    model = SegNet(CLASSES, "thin")
    preprocessing = model.preset.preprocessing
    (found,) = TrunkMaps(model, size=preprocessing.size, layers=("conv5",))(image)
    np.testing.assert_allclose(found, model.features(preprocessing.apply(image)[None])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ()}, "each once"),
        ({"layers": ("conv3", "conv3")}, "each once"),
        ({"layers": ("conv6",)}, "conv1, conv2"),
        ({"size": 112}, "at least 113"),
    ],
)
def test_what_cannot_be_made_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        TrunkMaps(SegNet(CLASSES, "thin"), **options)


def test_only_rgb_images_are_taken(image):
    with pytest.raises(ShapeError, match="RGB"):
        TrunkMaps(SegNet(CLASSES, "thin"), size=225)(image[..., 0])
