"""A run's network as one file for other programs: ONNX, or safetensors with everything to rebuild it in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tinysegrank.backend import get_backend, to_numpy
from tinysegrank.errors import ConfigError
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import training
from tinysegrank.files import atomic_write, read_about, read_arrays, write_arrays
from tinysegrank.nn import Conv2d, Dropout, LocalResponseNorm, MaxPool2d, ReLU
from tinysegrank.nn.arguments import pair
from tinysegrank.nn.layer import Layer
from tinysegrank.outputs import check_results
from tinysegrank.segnet import SegNet, load_segnet
from tinysegrank.segnet.network import FeatureScale

IMAGE, COARSE = "image", "coarse"
_OPSET, _IR = 17, 8  # of 2022, so that old runtimes read it


def export_onnx(run: Run, file: Path, *, replace: bool = False) -> dict[str, str]:
    """Write the network that the ranker uses as an ONNX model; return descriptions of its "input" and "output".

    image  | (N, 3, S, S)   | float32 | R, G, B in 0..255, the whole image resized to S x S (227 for AlexNet)
    coarse | (N, K, 13, 13) | float32 | class distributions

    Resize the image by bilinear interpolation with antialiasing, as Pillow's BILINEAR does. The rest of the
    preprocessing, such as the order of channels and the mean, is in the model. Its metadata has the descriptions, the
    names of the classes and the architecture. onnxruntime's result equals that of the readable functions to 1e-5. The
    coarse maps of a run and of `tinysegrank.load` differ from it by more, as features are rounded to float16 there and
    the maps may be averaged over several views of the image.

    Raises:
        ConfigError: the package onnx is not installed, or a layer has no counterpart.
        CheckpointError: the trainings of the run are not finished, or the network's file is damaged.
        OutputError: the file cannot be written, or exists and `replace` is not set.
    """
    path = _network(run, file, replace)
    model = load_segnet(path, backend=get_backend("numpy"))
    side, number = model.preset.preprocessing.size, model.num_classes
    words = {
        "input": f'"{IMAGE}", float32 (N, 3, {side}, {side}): R, G, B in 0..255 of the whole photograph, resized to '
        f"{side} x {side} by bilinear interpolation with antialiasing (Pillow's BILINEAR)",
        "output": f'"{COARSE}", float32 (N, {number}, 13, 13): the share of each class in each cell of a 13 x 13 grid',
    }
    content = onnx_model(model, {name: json.dumps(value) for name, value in {**words, **_about(run, model)}.items()})
    with atomic_write(file) as stream:
        stream.write(content)
    return words


def export_safetensors(run: Run, file: Path, *, replace: bool = False) -> None:
    """Write the network that the ranker uses as safetensors, which `load_segnet` reads too.

    The header's metadata has one entry, "about": JSON with the preset, the shapes of its convolutions, the
    preprocessing, the factor on conv5's features, and the names of the classes. For errors see `export_onnx`; onnx is
    not needed.
    """
    path = _network(run, file, replace)
    about = {**read_about(path), **_about(run, load_segnet(path, backend=get_backend("numpy")))}
    write_arrays(file, read_arrays(path), about=about)


def _network(run: Run, file: Path, replace: bool) -> Path:
    """Return the path of the run's network, after a check that `file`, the export, can be written."""
    path = training.network_path(run, training.Training(-1, run.settings.ranking.loss))
    check_results([(path, file)], option="--out", replace=replace)
    run.require([training.STAGE.name], "an export of the network")
    return path


def _about(run: Run, model: SegNet) -> Mapping[str, Any]:
    return {"classes": list(run.settings.classes.names), "architecture": asdict(model.preset)}


class _Graph:
    """The nodes and constants of an ONNX graph; each node's input is the output of the node before it."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = IMAGE

    def add(self, operator: str, name: str, *constants: np.ndarray, **attributes: Any) -> None:
        """Add a node called `name`; its inputs are the last node's output and then the constants."""
        from onnx import helper, numpy_helper

        names = [f"{name}.{i}" for i in range(len(constants))]
        self.constants += [numpy_helper.from_array(array, key) for key, array in zip(names, constants, strict=True)]
        self.nodes.append(helper.make_node(operator, [self.last, *names], [name], name=name, **attributes))
        self.last = name


def onnx_model(model: SegNet, about: Mapping[str, str]) -> bytes:
    """Return a network as the bytes of an ONNX file, with `about` as its metadata.

    Raises:
        ConfigError: the package onnx is not installed, or a layer has no counterpart.
    """
    try:
        import onnx
    except ImportError as error:
        raise ConfigError(
            "export onnx: the package onnx is not installed; pip install '.[onnx]' in the checkout"
        ) from error
    graph, preprocessing = _Graph(), model.preset.preprocessing
    if preprocessing.channel_order == "BGR":
        graph.add("Gather", "bgr", np.array([2, 1, 0]), axis=1)
    column = (1, 3, 1, 1)
    graph.add("Mul", "scaled", np.float32(preprocessing.scale).reshape(1))
    graph.add("Sub", "centred", np.array(preprocessing.mean, np.float32).reshape(column))
    graph.add("Div", "prepared", np.array(preprocessing.std, np.float32).reshape(column))
    for name, layer in model.network.layers.items():
        _add_layer(graph, name, layer)
    graph.add("Softmax", COARSE, axis=1)
    side, number = preprocessing.size, onnx.TensorProto.FLOAT
    made = onnx.helper.make_graph(
        graph.nodes,
        "SegNet",
        [onnx.helper.make_tensor_value_info(IMAGE, number, ["N", 3, side, side])],
        [onnx.helper.make_tensor_value_info(COARSE, number, ["N", model.num_classes, None, None])],
        graph.constants,
    )
    whole = onnx.helper.make_model(
        made, opset_imports=[onnx.helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="tinysegrank"
    )
    onnx.helper.set_model_props(whole, dict(about))
    whole = onnx.shape_inference.infer_shapes(whole, strict_mode=True)
    onnx.checker.check_model(whole)
    return whole.SerializeToString()


def _add_layer(graph: _Graph, name: str, layer: Layer) -> None:
    if isinstance(layer, Conv2d):
        weight, bias = (to_numpy(layer.parameters[part]) for part in ("weight", "bias"))
        (top, left), stride = pair(layer.padding, name="padding", least=0), pair(layer.stride, name="stride", least=1)
        graph.add("Conv", name, weight, bias, strides=stride, pads=(top, left, top, left), group=layer.groups)
    elif isinstance(layer, ReLU):
        graph.add("Relu", name)
    elif isinstance(layer, MaxPool2d):
        size, stride = (pair(layer.options[key], name=key, least=1) for key in ("size", "stride"))
        graph.add("MaxPool", name, kernel_shape=size, strides=stride, ceil_mode=int(layer.options["ceil_mode"]))
    elif isinstance(layer, LocalResponseNorm):
        options = dict(layer.options)
        graph.add("LRN", name, bias=options.pop("k"), **options)
    elif isinstance(layer, FeatureScale):
        graph.add("Mul", name, np.array([layer.factor], np.float32))
    elif not isinstance(layer, Dropout):  # which does nothing after training
        raise ConfigError(f"export onnx: the layer {name}, a {type(layer).__name__}, has no counterpart in ONNX here")
