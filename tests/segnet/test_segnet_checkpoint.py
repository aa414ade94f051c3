"""A network through its file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.segnet.segnet_toys import CHANNELS, thin_model
from tinysegrank import nn
from tinysegrank.backend import Backend
from tinysegrank.errors import BackendError, CheckpointError
from tinysegrank.files import read_about, write_arrays
from tinysegrank.segnet import SegNet, load_segnet, save_segnet


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "segnet.safetensors"


def test_round_trip_to_the_bit(path: Path, rng: np.random.Generator) -> None:
    model = SegNet(7, "thin-alexnet", rng=rng, feature_scale=0.1 + 0.2, dropout=0.3, frozen=("conv1", "conv7"))
    save_segnet(path, model)
    loaded = load_segnet(path)
    for attribute in ("num_classes", "preset_name", "preset", "feature_scale", "dropout"):
        assert getattr(loaded, attribute) == getattr(model, attribute)
    assert loaded.parameters.keys() == model.parameters.keys()
    assert loaded.trainable.keys() == model.trainable.keys()
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(loaded.parameters[name], array, strict=True)
    features = np.abs(rng.standard_normal((1, CHANNELS, 13, 13), np.float32))
    one, other = (m.forward_features(features, rng=np.random.default_rng(1)) for m in (model, loaded))
    np.testing.assert_array_equal(one, other)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_backend_that_cannot_be_used_is_not_the_files_fault(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_segnet(path, thin_model())
    monkeypatch.setenv("TINYSEGRANK_BACKEND", "torch")
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(BackendError, match="torch is not installed"):
        load_segnet(path)


def test_another_library_reads_it(path: Path) -> None:
    """Plain safetensors, with Caffe's names of layers."""
    model = thin_model()
    save_segnet(path, model)
    arrays = load_file(path)
    assert arrays.keys() == {f"conv{n}.{kind}" for n in range(1, 9) for kind in ("weight", "bias")}
    np.testing.assert_array_equal(arrays["conv3.weight"], model.parameters["conv3.weight"])


def test_from_one_backend_to_another(path: Path, backend: Backend) -> None:
    if str(backend.device) == "meta":
        pytest.skip("the meta device has no values to write")
    model = thin_model()
    save_segnet(path, model)
    there = load_segnet(path, backend=backend)
    made = backend.asarray(np.ones(1, np.float32))
    assert all((a.dtype, a.device) == (made.dtype, made.device) for a in there.parameters.values())
    save_segnet(path, there)
    for name, array in load_segnet(path).parameters.items():
        np.testing.assert_array_equal(array, model.parameters[name])


# Bad files -----------------------------------------------------------------------------------------------------------


def refused(path: Path, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason) as caught:
        load_segnet(path)
    assert str(path) in str(caught.value)


def test_no_file(path: Path) -> None:
    refused(path, "no such file")
    path.mkdir(parents=True)
    refused(path, "no such file")


def test_cut_off_anywhere(path: Path) -> None:
    save_segnet(path, thin_model())
    content = path.read_bytes()
    for length in {*range(64), *range(64, len(content), 997), len(content) - 1}:
        path.write_bytes(content[:length])
        refused(path, "is damaged")


def test_another_kind_of_file(path: Path) -> None:
    path.parent.mkdir()
    save_file({"conv1.weight": np.zeros((4, 3, 5, 5), np.float32)}, path)
    refused(path, "does not hold a tinysegrank")
    write_arrays(path, {"a": np.zeros(1)}, about={"format": "tinysegrank.segnet.0"})
    refused(path, r"tinysegrank\.segnet\.0")
    np.savez(path.with_suffix(".npz"), a=np.zeros(1))
    refused(path.with_suffix(".npz"), "is damaged")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"num_classes": "many"}, "many"),
        ({"num_classes": "5"}, "conv8"),
        ({"feature_scale": ""}, "float"),
        ({"dropout": "half"}, "half"),
        ({"frozen": "conv9"}, "conv9"),
        ({"preset": None}, "preset"),
        ({"dropout": None}, "dropout"),
    ],
)
def test_a_spoilt_header(path: Path, change: dict[str, str | None], reason: str) -> None:
    model = thin_model()
    save_segnet(path, model)
    about = {name: value for name, value in (read_about(path) | change).items() if value is not None}
    write_arrays(path, model.parameters, about=about)
    refused(path, f"is damaged .*{reason}")


def test_a_preset_that_is_not_there(path: Path) -> None:
    model = thin_model()
    save_segnet(path, model)
    write_arrays(path, model.parameters, about=read_about(path) | {"preset": "vgg"})
    refused(path, r'needs the preset "vgg"; put it into segnet\.PRESETS first')


def test_wrong_parameters(path: Path) -> None:
    model = thin_model()
    save_segnet(path, model)
    about, arrays = read_about(path), dict(model.parameters)
    write_arrays(path, {name: array for name, array in arrays.items() if name != "conv7.bias"}, about=about)
    refused(path, r"conv7\.bias is missing")
    write_arrays(path, arrays | {"conv9.bias": np.zeros(1, np.float32)}, about=about)
    refused(path, r"conv9\.bias")
    write_arrays(path, arrays | {"conv7.bias": np.zeros(3, np.float32)}, about=about)
    refused(path, r"conv7\.bias of shape \(3,\)")


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("conv7.weight", lambda a: a * np.float32(np.nan), "conv7.weight holds NaN or infinity"),
        ("conv1.bias", lambda a: a - np.float32(np.inf), "conv1.bias holds NaN or infinity"),
        ("conv8.weight", np.zeros_like, "conv8.weight is 0 everywhere"),
    ],
)
def test_numbers_that_cannot_be_right_are_neither_read_nor_written(
    path: Path, name: str, change: Callable[[np.ndarray], np.ndarray], fault: str
) -> None:
    model = thin_model()
    save_segnet(path, model)
    about, arrays = read_about(path), dict(model.parameters)
    write_arrays(path, arrays | {name: change(arrays[name])}, about=about)
    refused(path, fault.replace(" holds", "' holds"))
    path.unlink()
    model.assign({name: change(arrays[name])})
    with pytest.raises(CheckpointError, match=f"not written, as the network's {fault}"):
        save_segnet(path, model)
    assert not path.exists()


@pytest.mark.parametrize("scale", ["nan", "inf", "0.0", "-1.0"])
def test_a_scale_of_features_is_positive(path: Path, scale: str) -> None:
    model = thin_model()
    save_segnet(path, model)
    write_arrays(path, model.parameters, about=read_about(path) | {"feature_scale": scale})
    refused(path, f"feature_scale={scale} must be positive and finite")


# Layers that are not the preset's ------------------------------------------------------------------------------------


class Leaky(nn.ReLU):
    pass


def _swap(part: str, name: str, layer: nn.Layer) -> Callable[[SegNet], None]:
    return lambda model: getattr(model, part).layers.update({name: layer})


def _like(layer: nn.Conv2d, **options: int) -> nn.Conv2d:
    return nn.Conv2d(**layer.parameters, **{"stride": layer.stride, "padding": layer.padding, **options})


SWAPPED: dict[str, tuple[Callable[[SegNet], object], str]] = {
    "another kind": (_swap("network", "relu6", Leaky()), "relu6 of model.network"),
    "another option": (_swap("network", "pool1", nn.MaxPool2d(size=2)), "pool1 of model.network"),
    "another probability": (_swap("network", "dropout7", nn.Dropout(p=0.9)), "dropout7 of model.network"),
    "a convolution with another padding": (
        lambda model: model.network.layers.update(conv6=_like(model.network.layers["conv6"], padding=3)),
        "conv6 of model.network",
    ),
    "a convolution of another size": (
        lambda model: model.network.layers.update(conv8=nn.Conv2d(np.ones((4, 6, 1, 1), "f4"), np.ones(4, "f4"))),
        "conv8 of model.network",
    ),
    "an option changed in place": (
        lambda model: vars(model.network.layers["norm1"])["options"].update(alpha=0.1),
        "norm1 of model.network",
    ),
    "one more": (_swap("network", "relu8", nn.ReLU()), "relu8 of model.network"),
    "one less": (lambda model: model.network.layers.pop("relu7"), "dropout8 of model.network"),
    "the last left out": (lambda model: model.network.layers.pop("conv8"), "conv8 of model.network"),
    "in the head only": (
        lambda model: model.head.layers.update(conv7=_like(model.head.layers["conv7"])),
        "conv7 of model.head",
    ),
}


@pytest.mark.parametrize("name", SWAPPED)
def test_a_layer_that_would_be_lost_is_refused(path: Path, name: str) -> None:
    change, named = SWAPPED[name]
    model = thin_model()
    change(model)
    with pytest.raises(CheckpointError, match=rf"not written, as layer {named} .* put the preset's layer back"):
        save_segnet(path, model)
    assert not path.exists()


def test_the_same_layer_put_back_is_kept(path: Path) -> None:
    model = thin_model()
    conv = _like(model.network.layers["conv6"])
    for part in (model.network, model.head):
        part.layers["conv6"] = conv
    conv.parameters["weight"] = conv.parameters["weight"] + 1
    save_segnet(path, model)
    np.testing.assert_array_equal(load_segnet(path).parameters["conv6.weight"], conv.parameters["weight"])
