"""A run's network in other hands: onnxruntime and torch compute the same from the exported file alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

from tinysegrank.cli import app
from tinysegrank.errors import CheckpointError, ConfigError, OutputError
from tinysegrank.experiment import Run
from tinysegrank.experiment.images import images_of
from tinysegrank.experiment.stages.training import Training, network_path
from tinysegrank.exporting import export_onnx, export_safetensors
from tinysegrank.exporting.network import onnx_model
from tinysegrank.nn import Softmax
from tinysegrank.segnet import SegNet, load_segnet, predict
from tinysegrank.voc import CLASS_NAMES, Preprocessing, read_image


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def pixels(images: list[np.ndarray], side: int) -> np.ndarray:
    """What a user does before the model: resize, channels first."""
    resized = [Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) for image in resized])


def by_onnx(content: bytes | Path, x: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime, which runs the model, is not installed")
    given = content if isinstance(content, bytes) else str(content)
    session = runtime.InferenceSession(given, providers=["CPUExecutionProvider"])
    (coarse,) = session.run(None, {"image": x})
    return coarse.transpose(0, 2, 3, 1)


def test_the_resizing_is_bilinear_with_antialiasing(rng: np.random.Generator) -> None:
    """As the model's metadata says; torch's, which is another implementation, rounds to the same but for a level."""
    torch = pytest.importorskip("torch", reason="torch, an independent execution, is not installed")
    image = rng.integers(0, 256, (375, 500, 3), np.uint8)
    x = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))
    resized = torch.nn.functional.interpolate(x, (227, 227), mode="bilinear", antialias=True)[0].numpy()
    ours = Preprocessing(mean=(0, 0, 0), channel_order="RGB").apply(image)
    np.testing.assert_allclose(ours, resized, rtol=0, atol=1.5)
    np.testing.assert_array_equal(ours, pixels([image], 227)[0])


def test_onnxruntime_equals_predict(tmp_path: Path, tiny_run: Run) -> None:
    pytest.importorskip("onnx", reason="onnx, which makes the model, is not installed")
    export_onnx(tiny_run, tmp_path / "net.onnx")
    model = load_segnet(network_path(tiny_run, Training(-1, tiny_run.settings.ranking.loss)))
    photographs = [image.image() for image in images_of(tiny_run, "val")]
    expected = predict(model, photographs)
    found = by_onnx(tmp_path / "net.onnx", pixels(photographs, 113))
    assert found.shape == expected.shape == (6, 13, 13, 21)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert np.ptp(expected, axis=(1, 2)).max() > 1e-3  # so that the comparison says something


@pytest.mark.parametrize("preset", ["alexnet", "caffenet", "torchvision"])
def test_every_preset(preset: str, rng: np.random.Generator) -> None:
    """With groups, both orders of normalisation, BGR, a padded first layer, and features far from 1."""
    pytest.importorskip("onnx", reason="onnx, which makes the model, is not installed")
    model = SegNet(5, preset, rng=rng, feature_scale=0.3 if preset == "torchvision" else 0.01)
    model.assign({"conv8.weight": 20 * model.parameters["conv8.weight"]})
    photographs = [rng.integers(0, 256, (90, 120, 3), np.uint8)]
    expected = predict(model, photographs)
    found = by_onnx(onnx_model(model, {}), pixels(photographs, model.preset.preprocessing.size))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert np.ptp(expected, axis=(1, 2)).max() > 1e-2


@pytest.mark.voc
def test_real_weights_on_photographs(voc_root: Path, alexnet_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With confident predictions; the readable functions, since the fast ones alone are 1e-5 off."""
    pytest.importorskip("onnx", reason="onnx, which makes the model, is not installed")
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "0")
    model = SegNet(21, "alexnet", feature_scale=0.05)
    model.load_weights(alexnet_weights)
    model.assign({"conv8.weight": 30 * model.parameters["conv8.weight"]})
    photographs = [read_image(path) for path in sorted((voc_root / "JPEGImages").glob("*.jpg"))[:2]]
    expected = predict(model, photographs)
    np.testing.assert_allclose(by_onnx(onnx_model(model, {}), pixels(photographs, 227)), expected, rtol=0, atol=1e-5)
    assert expected.max() > 0.5


def test_the_model_describes_itself(tmp_path: Path, tiny_run: Run) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx, which makes the model, is not installed")
    result = call("export", "onnx", tiny_run.path, "--out", tmp_path / "net.onnx")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/net.onnx\n")
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    props = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert props["classes"] == list(CLASS_NAMES)
    assert props["input"] in result.stderr and props["output"] in result.stderr
    assert props["input"].startswith('"image", float32 (N, 3, 113, 113): R, G, B in 0..255 of the whole photograph')
    assert props["architecture"]["preprocessing"]["size"] == 113
    sizes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.output]
    assert sizes == [["N", 21, 13, 13]]


def test_torch_rebuilds_it_from_the_header(tmp_path: Path, tiny_run: Run) -> None:
    torch = pytest.importorskip("torch", reason="torch, an independent execution, is not installed")
    functional = torch.nn.functional
    result = call("export", "safetensors", tiny_run.path, "--out", tmp_path / "net.safetensors")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/net.safetensors\n")
    assert f"load_segnet('{tmp_path}/net.safetensors')" in result.stderr
    with safe_open(tmp_path / "net.safetensors", framework="pt") as held:
        about = json.loads(held.metadata()["about"])
        weights = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118
    shape, photographs = about["architecture"], [image.image() for image in images_of(tiny_run, "val")]
    prepare = shape["preprocessing"]
    column = {name: torch.tensor(prepare[name]).reshape(1, 3, 1, 1) for name in ("mean", "std")}
    x = torch.from_numpy(pixels(photographs, prepare["size"]))
    x = x.flip(1) if prepare["channel_order"] == "BGR" else x
    x = (x * prepare["scale"] - column["mean"]) / column["std"]
    head = [{"stride": 1, "padding": 1, "groups": 1}] * 3
    for n, conv in enumerate([*shape["convolutions"], *head], start=1):
        options = {name: conv[name] for name in ("stride", "padding", "groups")}
        x = functional.conv2d(x, weights[f"conv{n}.weight"], weights[f"conv{n}.bias"], **options)
        x = x if n == 8 else functional.relu(x)
        for kind in shape["between"] if n <= 2 else ():
            if kind == "pool":
                x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
            else:
                x = functional.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)
        x = x * float(about["feature_scale"]) if n == 5 else x
    model = load_segnet(tmp_path / "net.safetensors")  # our own reader takes it too
    expected = predict(model, photographs)
    np.testing.assert_allclose(torch.softmax(x, 1).numpy().transpose(0, 2, 3, 1), expected, rtol=0, atol=1e-5)
    own = load_segnet(network_path(tiny_run, Training(-1, tiny_run.settings.ranking.loss)))
    np.testing.assert_array_equal(predict(own, photographs), expected)
    assert about["classes"] == list(CLASS_NAMES)
    trunk = SegNet(3, "tiny")
    trunk.load_weights(tmp_path / "net.safetensors")  # and its trunk starts another network
    np.testing.assert_array_equal(trunk.parameters["conv5.weight"], own.parameters["conv5.weight"])


@pytest.mark.parametrize("export", [export_onnx, export_safetensors])
def test_what_is_refused(tmp_path: Path, tiny_run: Run, export, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "net"
    with pytest.raises(CheckpointError, match="an export of the network needs the stage training"):
        export(replace(tiny_run, path=tmp_path), file)
    file.write_text("mine")
    with pytest.raises(OutputError, match="net: already exists; pass --force"):
        export(tiny_run, file)
    assert file.read_text() == "mine"
    if export is export_safetensors:
        export(tiny_run, file, replace=True)
        assert load_segnet(file).num_classes == 21
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    if export is export_onnx:
        with pytest.raises(ConfigError, match=r"onnx is not installed; pip install '\.\[onnx\]'"):
            export(tiny_run, file, replace=True)
        assert file.read_text() == "mine"


def test_a_layer_without_a_counterpart_is_named() -> None:
    pytest.importorskip("onnx", reason="onnx, which makes the model, is not installed")
    model = SegNet(3, "tiny")
    model.network.layers["norm1"] = Softmax()
    with pytest.raises(ConfigError, match="the layer norm1, a Softmax, has no counterpart"):
        onnx_model(model, {})
