"""Coarse distributions out of images and out of features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from tests.segnet.segnet_toys import CHANNELS, CLASSES, thin_model, toy_store
from tinysegrank.backend import Backend, get_backend
from tinysegrank.errors import ShapeError
from tinysegrank.segnet import SegNet, load_segnet, predict, predict_features, predict_store, save_segnet


@pytest.fixture
def images(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((113, 113), (40, 60), (90, 31), (20, 20), (7, 9))]


@pytest.fixture
def features(rng: np.random.Generator) -> np.ndarray:
    return np.abs(2 * rng.standard_normal((5, CHANNELS, 13, 13), np.float32))


def sharp_model(**options: object) -> SegNet:
    """With scores of some size: conv8 starts near 0, where every distribution is flat."""
    model = thin_model(**options)
    host = thin_model().parameters
    model.assign({"conv8.weight": host["conv8.weight"] * 30, "conv8.bias": np.arange(CLASSES, dtype=np.float32)})
    return model


def assert_distributions(coarse: np.ndarray, shape: tuple[int, ...]) -> None:
    assert isinstance(coarse, np.ndarray)
    assert coarse.shape == shape
    assert coarse.dtype == np.float32
    assert coarse.flags.c_contiguous
    assert np.all(coarse >= 0)
    np.testing.assert_allclose(coarse.sum(axis=-1), 1, atol=1e-6)
    assert np.max(np.ptp(coarse, axis=(0, 1, 2))) > 0.5  # cells differ


def test_images_by_the_steps(images: list[np.ndarray]) -> None:
    model = sharp_model(feature_scale=0.3)
    coarse = predict(model, images)
    assert_distributions(coarse, (5, 13, 13, CLASSES))
    for image, found in zip(images, coarse, strict=True):
        z = model.forward(model.preset.preprocessing.apply(image)[None])
        np.testing.assert_allclose(found, softmax(z[0], axis=0).transpose(1, 2, 0), atol=1e-6)


def test_features_by_the_steps(features: np.ndarray) -> None:
    model = sharp_model(feature_scale=0.3)
    coarse = predict_features(model, features)
    assert_distributions(coarse, (5, 13, 13, CLASSES))
    z = model.forward_features(features)
    np.testing.assert_allclose(coarse, softmax(z, axis=1).transpose(0, 2, 3, 1), atol=1e-6)


def test_both_ways_agree(images: list[np.ndarray]) -> None:
    model = sharp_model()
    features = model.features(np.stack([model.preset.preprocessing.apply(image) for image in images]))
    np.testing.assert_allclose(predict_features(model, features), predict(model, images), atol=1e-6)
    stored = predict_features(model, features.astype(np.float16))
    np.testing.assert_allclose(stored, predict(model, images), atol=5e-3)


def test_stored_features_with_and_without_their_mirror_images(tmp_path: Path) -> None:
    model, chosen = sharp_model(), np.array([4, 0, 2])
    store = toy_store(tmp_path / "both", images=5)
    plain = predict_features(model, store.gather("features", 2 * chosen))
    flipped = predict_features(model, store.gather("features", 2 * chosen + 1))
    np.testing.assert_array_equal(predict_store(model, store, chosen), plain)
    mean = predict_store(model, store, chosen, mirrored=True)
    np.testing.assert_allclose(mean, (plain + np.flip(flipped, axis=2)) / 2, atol=1e-7)
    np.testing.assert_allclose(mean.sum(axis=-1), 1, atol=1e-6)
    assert len(predict_store(model, store)) == 5
    single = toy_store(tmp_path / "single", images=5, mirrors=False)
    np.testing.assert_array_equal(predict_store(model, single), predict_features(model, single.gather("features")))
    with pytest.raises(ShapeError, match="has no mirror images"):
        predict_store(model, single, mirrored=True)


def test_the_batch_does_not_matter(images: list[np.ndarray], features: np.ndarray) -> None:
    """But for rounding, as the tiles of a convolution are chosen by the number of images."""
    model = sharp_model()
    for batch in (1, 2, 5):
        np.testing.assert_allclose(predict(model, images, batch=batch), predict(model, images), atol=1e-5)
        found = predict_features(model, features, batch=batch)
        np.testing.assert_allclose(found, predict_features(model, features), atol=1e-5)


def test_the_whole_size_of_imagenet(rng: np.random.Generator) -> None:
    coarse = predict(SegNet(21, "caffenet"), [rng.integers(0, 256, (300, 500, 3), np.uint8)])
    assert coarse.shape == (1, 13, 13, 21)
    np.testing.assert_allclose(coarse.sum(axis=-1), 1, atol=1e-6)


def test_nothing_to_predict() -> None:
    model = thin_model()
    for coarse in (predict(model, []), predict_features(model, np.zeros((0, CHANNELS, 13, 13), np.float32))):
        assert coarse.shape == (0, 13, 13, CLASSES)
        assert coarse.dtype == np.float32


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 4), np.uint8),
        np.zeros((3, 20, 20), np.uint8),
        np.zeros((20, 20, 3), np.float32),
        np.zeros((0, 20, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_no_image(images: list[np.ndarray], wrong: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="image: shape"):
        predict(thin_model(), [images[0], wrong])


@pytest.mark.parametrize("shape", [(2, CHANNELS + 1, 13, 13), (CHANNELS, 13, 13)])
def test_no_features(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="conv2d"):
        predict_features(thin_model(), np.zeros(shape, np.float32))


# Backends ------------------------------------------------------------------------------------------------------------


def test_every_backend(backend: Backend, images: list[np.ndarray], features: np.ndarray) -> None:
    if str(backend.device) == "meta":
        pytest.skip("the meta device has no values to predict")
    there, here = sharp_model(backend=backend), sharp_model()
    coarse = predict_features(there, features)
    assert_distributions(coarse, (5, 13, 13, CLASSES))
    np.testing.assert_allclose(coarse, predict_features(here, features), atol=1e-4)
    if backend.name != "jax":  # step by step it takes long; the tests of the network compile it
        np.testing.assert_allclose(predict(there, images), predict(here, images), atol=1e-4)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_the_environment_chooses(
    library: str, features: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(library)
    monkeypatch.setenv("TINYSEGRANK_BACKEND", "numpy")
    model = sharp_model()
    save_segnet(tmp_path / "segnet", model)
    expected = predict_features(model, features)
    monkeypatch.setenv("TINYSEGRANK_BACKEND", library)
    there = load_segnet(tmp_path / "segnet")
    assert there.backend.name == library
    made = get_backend(library).asarray(np.ones(1))
    assert type(there.parameters["conv1.weight"]) is type(made)
    np.testing.assert_allclose(predict_features(there, features), expected, atol=1e-4)
