"""A head of one's own, by a preset: trained, used for prediction, saved and loaded like the paper's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.segnet.segnet_toys import CLASSES, IMAGES, OPTIONS, THIN, assert_same_bits
from tinysegrank import nn
from tinysegrank.backend import Array, Backend, get_backend, to_numpy
from tinysegrank.errors import CheckpointError
from tinysegrank.nn.softmax import softmax
from tinysegrank.segnet import PRESETS, FeatureStore, SegNet, load_segnet, predict, predict_store, save_segnet, train
from tinysegrank.testing import check_backward


class Scale:
    """Multiplies each channel by a number that is learnt."""

    def __init__(self, scale: Array) -> None:
        self.parameters = {"scale": scale}

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Any]:
        return x * self.parameters["scale"][None, :, None, None], (x, self.parameters["scale"])

    def backward(self, gradient: Array, context: Any, **_: bool) -> tuple[Array, dict[str, Array]]:
        x, scale = context
        return gradient * scale[None, :, None, None], {"scale": (gradient * x).sum(axis=(0, 2, 3))}


class Residual:
    """Adds its input to the output of another layer, and keeps a constant that is no parameter."""

    def __init__(self, inner: nn.Layer) -> None:
        self.inner, self.parameters = inner, inner.parameters

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Any]:
        y, context = self.inner.forward(x, rng=rng)
        return x + y, context

    def backward(self, gradient: Array, context: Any, **_: bool) -> tuple[Array, dict[str, Array]]:
        gx, gradients = self.inner.backward(gradient, context)
        return gradient + gx, gradients


def scaled(layers: dict[str, nn.Layer], backend: Backend) -> dict[str, nn.Layer]:
    """One layer more in front, one replaced, one left out."""
    scale = Scale(backend.asarray(np.full(8, 1.5, np.float32)))
    inner = nn.Conv2d(backend.asarray(np.full((8, 8, 1, 1), 0.01, np.float32)), backend.asarray(np.ones(8, np.float32)))
    return {"scale6": scale} | layers | {"dropout7": Residual(inner)}


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SegNet]:
    monkeypatch.setitem(PRESETS, "mine", replace(THIN["thin"], change_head=scaled))
    return lambda **options: SegNet(CLASSES, "mine", rng=np.random.default_rng(3), **options)


def test_its_gradient_is_that_of_its_layers(mine: Callable[..., SegNet], rng: np.random.Generator) -> None:
    model = mine()
    x, start = np.abs(rng.standard_normal((2, 8, 13, 13))), dict(model.trainable)
    assert [*model.trainable][:1] == ["scale6.scale"] and "dropout7.weight" in model.trainable

    def forward(*values: np.ndarray) -> tuple[np.ndarray, list[Any]]:
        model.assign(dict(zip(start, values, strict=True)))
        return model.head.forward(x)

    def backward(gradient: np.ndarray, context: list[Any]) -> tuple[np.ndarray, ...]:
        _, gradients = model.head.backward(gradient, context)
        return tuple(gradients[name] for name in start)

    check_backward(forward, backward, [*start.values()])


def test_it_is_trained_saved_loaded_and_used(
    mine: Callable[..., SegNet], store: FeatureStore, tmp_path: Path, rng: np.random.Generator
) -> None:
    model, fresh = mine(), mine()
    train(model, store, IMAGES, OPTIONS, seed=7)
    for name in ("scale6.scale", "dropout7.weight", "conv8.weight"):
        assert not np.array_equal(model.parameters[name], fresh.parameters[name])
    save_segnet(tmp_path / "mine", model)
    loaded = load_segnet(tmp_path / "mine", backend=get_backend("numpy"))
    assert_same_bits(loaded, model)
    np.testing.assert_array_equal(predict_store(loaded, store), predict_store(model, store))

    x, images = store.gather("features")[::2].astype(np.float32), [rng.integers(0, 256, (50, 60, 3), np.uint8)]
    z = x
    for layer in loaded.head.layers.values():
        z, _ = layer.forward(z)
    np.testing.assert_allclose(predict_store(loaded, store), softmax(z, axis=1)[0].transpose(0, 2, 3, 1), atol=1e-5)
    np.testing.assert_array_equal(predict(loaded, images), predict(model, images))


def test_a_file_without_its_preset_is_refused(
    mine: Callable[..., SegNet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_segnet(tmp_path / "mine", mine())
    monkeypatch.setitem(PRESETS, "mine", replace(THIN["thin"]))  # another head by the same name
    with pytest.raises(CheckpointError, match=r"parameter (scale6|dropout7)\."):
        load_segnet(tmp_path / "mine")
    monkeypatch.delitem(PRESETS, "mine")
    with pytest.raises(CheckpointError, match='needs the preset "mine"'):
        load_segnet(tmp_path / "mine")


def test_on_any_backend(mine: Callable[..., SegNet], backend: Backend) -> None:
    if str(backend.device) == "meta":
        pytest.skip("the meta device has no values to compare")
    x = np.abs(np.random.default_rng(0).standard_normal((1, 8, 13, 13), np.float32))
    there, here = mine(backend=backend), mine(backend=get_backend("numpy"))
    np.testing.assert_allclose(to_numpy(there.head(backend.asarray(x))), here.head(x), atol=1e-5)
