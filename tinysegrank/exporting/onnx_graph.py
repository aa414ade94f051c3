"""SegNet as an ONNX graph, its preprocessing and softmax included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinysegrank.backend import to_numpy
from tinysegrank.errors import ConfigError
from tinysegrank.nn import Conv2d, Dropout, LocalResponseNorm, MaxPool2d, ReLU
from tinysegrank.nn.arguments import pair
from tinysegrank.nn.layer import Layer
from tinysegrank.segnet import SegNet
from tinysegrank.segnet.network import FeatureScale

IMAGE, COARSE = "image", "coarse"
_OPSET, _IR = 17, 8  # of 2022, so that old runtimes read it


class _Graph:
    """The nodes and constants of a graph; the input of a node is the output of the node before it."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = IMAGE

    def add(self, operator: str, name: str, *constants: np.ndarray, before: bool = False, **attributes: Any) -> None:
        """Add a node called `name`, with constants after its input, or before it."""
        from onnx import helper, numpy_helper

        names = [f"{name}.{i}" for i in range(len(constants))]
        self.constants += [numpy_helper.from_array(array, key) for key, array in zip(names, constants, strict=True)]
        inputs = [*names, self.last] if before else [self.last, *names]
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        self.last = name


def onnx_model(model: SegNet, about: Mapping[str, str]) -> bytes:
    """Return a network as the bytes of an ONNX file, with strings for its metadata.

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
