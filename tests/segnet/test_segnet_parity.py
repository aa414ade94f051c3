"""SegNet against two other executions of the same network: torch's operations, and onnxruntime on a graph made here.

Strides, paddings and groups are written down again, from the Caffe models' own files; neither library sees the presets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.segnet.segnet_toys import CLASSES
from tinysegrank.nn import Conv2d
from tinysegrank.nn.arguments import pair
from tinysegrank.nn.fast import takes_tiles
from tinysegrank.segnet import SegNet
from tinysegrank.voc.preprocess import CAFFE

PADDINGS = {"conv1": 0, "conv2": 2} | {f"conv{n}": 1 for n in range(3, 9)}
GROUPS = {"conv2": 2, "conv4": 2, "conv5": 2}
ORDERS = {"caffenet": ("pool", "norm"), "alexnet": ("norm", "pool")}

Parameters = dict[str, np.ndarray]
Runner = Callable[[Parameters, np.ndarray, tuple[str, str]], dict[str, np.ndarray]]


def torch_runs(parameters: Parameters, x: np.ndarray, order: tuple[str, str]) -> dict[str, np.ndarray]:
    torch = pytest.importorskip("torch", reason="torch, an independent execution of the network, is not installed")
    from torch.nn import functional

    weights, y = {name: torch.from_numpy(array) for name, array in parameters.items()}, torch.from_numpy(x)
    outputs = {}
    for name in PADDINGS:
        y = functional.conv2d(
            y,
            weights[f"{name}.weight"],
            weights[f"{name}.bias"],
            stride=4 if name == "conv1" else 1,
            padding=PADDINGS[name],
            groups=GROUPS.get(name, 1),
        )
        outputs[name] = y = y if name == "conv8" else functional.relu(y)
        for operation in order if name in ("conv1", "conv2") else ():
            if operation == "pool":
                y = functional.max_pool2d(y, 3, 2, ceil_mode=True)
            else:
                y = functional.local_response_norm(y, 5, alpha=1e-4, beta=0.75, k=1.0)
    return {"features": outputs["conv5"].numpy(), "scores": outputs["conv8"].numpy()}


def onnx_runs(parameters: Parameters, x: np.ndarray, order: tuple[str, str]) -> dict[str, np.ndarray]:
    onnx = pytest.importorskip("onnx", reason="onnx, which makes the graph for onnxruntime, is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime, an independent execution, is not installed")
    node, nodes, last = onnx.helper.make_node, [], "x"
    for name, padding in PADDINGS.items():
        stride = 4 if name == "conv1" else 1
        options = {"strides": [stride] * 2, "pads": [padding] * 4, "group": GROUPS.get(name, 1)}
        nodes.append(node("Conv", [last, f"{name}.weight", f"{name}.bias"], [name], **options))
        last = name
        if name != "conv8":
            nodes.append(node("Relu", [last], [last := f"relu {name}"]))
        for operation in order if name in ("conv1", "conv2") else ():
            before, last = last, f"{operation} {name}"
            if operation == "pool":
                nodes.append(node("MaxPool", [before], [last], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1))
            else:
                nodes.append(node("LRN", [before], [last], size=5, alpha=1e-4, beta=0.75, bias=1.0))
    number = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "segnet",
        [onnx.helper.make_tensor_value_info("x", number, x.shape)],
        [onnx.helper.make_tensor_value_info(name, number, [None] * 4) for name in ("relu conv5", "conv8")],
        [onnx.numpy_helper.from_array(array, name) for name, array in parameters.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    features, scores = session.run(["relu conv5", "conv8"], {"x": x})
    return {"features": features, "scores": scores}


RUNNERS: dict[str, Runner] = {"torch": torch_runs, "onnxruntime": onnx_runs}


def assert_parity(model: SegNet, x: np.ndarray, runner: Runner, order: tuple[str, str]) -> None:
    """To 1e-4 of the largest entry; the other order is off by far more, so the test can tell."""
    expected = runner(model.parameters, x, order)
    features = model.features(x)
    for found, name in ((features, "features"), (model.head(features), "scores")):
        assert found.shape == expected[name].shape
        np.testing.assert_allclose(found, expected[name], rtol=0, atol=1e-4 * np.max(np.abs(expected[name])))
    swapped = runner(model.parameters, x, order[::-1])["features"]
    assert np.max(np.abs(swapped - features)) > 1e-2 * np.max(np.abs(features))


@pytest.mark.parametrize("runner", RUNNERS.values(), ids=RUNNERS)
@pytest.mark.parametrize("size", [227, 231])
def test_drawn_weights(runner: Runner, size: int, rng: np.random.Generator) -> None:
    """With large inputs, or normalisation would hardly do anything."""
    model = SegNet(CLASSES, "thin-caffenet", rng=rng)
    for name in model.parameters:
        if name.endswith("bias"):
            model.assign({name: rng.standard_normal(model.parameters[name].shape, np.float32)})
    x = 100 * rng.standard_normal((2, 3, size, size), np.float32)
    assert_parity(model, x, runner, ORDERS["caffenet"])


@pytest.mark.parametrize("images", [1, 3, 12])
@pytest.mark.parametrize("preset", ORDERS)
def test_the_numba_versions_at_full_width(preset: str, images: int, rng: np.random.Generator) -> None:
    """All eight convolutions by tiles: one image, a few by all threads, and some that come in chunks."""
    model = SegNet(21, preset, rng=rng)
    layers = [layer for layer in model.network.layers.values() if isinstance(layer, Conv2d)]
    assert len(layers) == 8 and all(
        takes_tiles(layer.parameters["weight"], pair(layer.stride, name="stride", least=1)) for layer in layers
    )
    x = 100 * rng.standard_normal((images, 3, 227, 227), np.float32)
    assert_parity(model, x, torch_runs, ORDERS[preset])


@pytest.mark.voc
@pytest.mark.parametrize("runner", RUNNERS.values(), ids=RUNNERS)
@pytest.mark.parametrize("size", [227, 231])
@pytest.mark.parametrize("preset", ORDERS)
def test_real_weights_on_a_photograph(
    preset: str, size: int, runner: Runner, voc_root: Path, alexnet_weights: Path
) -> None:
    from PIL import Image

    model = SegNet(21, preset)
    model.load_weights(alexnet_weights)
    with Image.open(min((voc_root / "JPEGImages").glob("*.jpg"))) as photograph:
        x = replace(CAFFE, size=size).apply(np.asarray(photograph.convert("RGB")))[None]
    assert_parity(model, x, runner, ORDERS[preset])
    features = model.features(x)
    assert 0.02 < np.mean(features > 0) < 0.9  # neither dead nor saturated


def test_what_the_other_libraries_mean_by_alpha() -> None:
    """All ones, five channels: the middle one is divided by (1 + alpha)^beta where alpha is divided by the size."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    y = torch.nn.functional.local_response_norm(torch.ones(1, 5, 1, 1), 5, alpha=0.5, beta=0.75, k=1.0)
    assert float(y[0, 2, 0, 0]) == pytest.approx(1.5**-0.75, rel=1e-6)
    assert float(y[0, 0, 0, 0]) == pytest.approx(1.3**-0.75, rel=1e-6)
