"""A network through its file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from segnet_toys import CHANNELS, thin_model

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
        refused(path, "whole safetensors file")


def test_another_kind_of_file(path: Path) -> None:
    path.parent.mkdir()
    save_file({"conv1.weight": np.zeros((4, 3, 5, 5), np.float32)}, path)
    refused(path, "does not hold a tinysegrank")
    write_arrays(path, {"a": np.zeros(1)}, about={"format": "tinysegrank.segnet.0"})
    refused(path, r"tinysegrank\.segnet\.0")
    np.savez(path.with_suffix(".npz"), a=np.zeros(1))
    refused(path.with_suffix(".npz"), "whole safetensors file")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"preset": "vgg"}, "vgg"),
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
