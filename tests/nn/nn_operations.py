"""The layer library's operations as test cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tests.nn import nn_loops as loops
from tests.operations import Operation
from tinysegrank import nn
from tinysegrank.backend import Array

Draw = Callable[[np.random.Generator], Sequence[np.ndarray]]


def normal(*shapes: tuple[int, ...]) -> Draw:
    return lambda rng: [rng.standard_normal(shape) for shape in shapes]


def spaced_values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Shuffled numbers at least 0.1 apart, none within 0.05 of 0: no ties and no kinks near."""
    values = (np.arange(np.prod(shape)) - np.prod(shape) // 2 + 0.5) * 0.1
    return rng.permutation(values).reshape(shape)


def spaced(shape: tuple[int, ...]) -> Draw:
    return lambda rng: [spaced_values(rng, shape)]


def _conv2d(
    name: str, x: tuple[int, ...], weight: tuple[int, ...], *, stride: Any = 1, padding: Any = 0, groups: int = 1
) -> Operation:
    both = [v if isinstance(v, tuple) else (v, v) for v in (stride, padding)]
    return Operation(
        f"conv2d {name}",
        draw=normal(x, weight, weight[:1]),
        forward=partial(nn.conv2d, stride=stride, padding=padding, groups=groups),
        backward=nn.conv2d_backward,
        loops=partial(loops.conv2d, stride=both[0], padding=both[1], groups=groups),
    )


def _max_pool2d(name: str, x: tuple[int, ...], *, size: Any, stride: Any, ceil_mode: bool = True) -> Operation:
    both = [v if isinstance(v, tuple) else (v, v) for v in (size, stride)]
    return Operation(
        f"max_pool2d {name}",
        draw=spaced(x),
        forward=partial(nn.max_pool2d, size=size, stride=stride, ceil_mode=ceil_mode),
        backward=nn.max_pool2d_backward,
        loops=partial(loops.max_pool2d, size=both[0], stride=both[1], ceil_mode=ceil_mode),
        analytic=False,
    )


def _local_response_norm(name: str, x: tuple[int, ...], **options: Any) -> Operation:
    return Operation(
        f"local_response_norm {name}",
        draw=normal(x),
        forward=partial(nn.local_response_norm, **options),
        backward=nn.local_response_norm_backward,
        loops=partial(loops.local_response_norm, **options),
    )


def _dropped(x: np.ndarray) -> np.ndarray:
    keep = np.random.default_rng(7).random(x.shape, dtype=np.float32)
    return np.array([v / 0.6 if r >= 0.4 else 0.0 for v, r in zip(x.ravel(), keep.ravel(), strict=True)]).reshape(
        x.shape
    )


def conv(rng: np.random.Generator, F: int, C: int, size: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(0.5 * rng.standard_normal((F, C, size, size)), rng.standard_normal(F), **options)


def small_net(rng: np.random.Generator, **options: Any) -> nn.Sequential:
    """Every kind of layer but dropout; takes images of two channels."""
    layers = {
        "conv1": conv(rng, 4, 2, padding=1),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(),
        "norm1": nn.LocalResponseNorm(size=3, alpha=0.5),
        "conv2": conv(rng, 4, 2, stride=(1, 2), padding=(1, 0), groups=2),
        "relu2": nn.ReLU(),
        "conv3": conv(rng, 3, 4, size=1),
        "softmax": nn.Softmax(),
    }
    return nn.Sequential(layers, **options)


def _network() -> Operation:
    """The small network as one function of its input and its parameters."""
    names = list(small_net(np.random.default_rng(0)).parameters)

    def draw(rng: np.random.Generator) -> list[np.ndarray]:
        return [spaced_values(rng, (2, 2, 8, 7)) / 3, *small_net(rng).parameters.values()]

    def forward(x: Array, *parameters: Array) -> tuple[Array, Any]:
        net = small_net(np.random.default_rng(0), input_gradient=True)
        net.assign(dict(zip(names, parameters, strict=True)))
        y, contexts = net.forward(x)
        return y, (net, contexts)

    def backward(gradient: Array, context: tuple[nn.Sequential, Any]) -> tuple[Array, ...]:
        net, contexts = context
        gx, gradients = net.backward(gradient, contexts)
        return gx, *(gradients[name] for name in names)

    def by_loops(x: np.ndarray, *p: np.ndarray) -> np.ndarray:
        x = loops.relu(loops.conv2d(x, p[0], p[1], padding=(1, 1)))
        x = loops.local_response_norm(loops.max_pool2d(x), size=3, alpha=0.5)
        x = loops.relu(loops.conv2d(x, p[2], p[3], stride=(1, 2), padding=(1, 0), groups=2))
        return loops.softmax(loops.conv2d(x, p[4], p[5]))

    return Operation("a whole network", draw, forward, backward, by_loops, analytic=False)


OPERATIONS = [
    _network(),
    _conv2d("3x3", (2, 3, 5, 6), (4, 3, 3, 3), padding=1),
    _conv2d("stride, padding and groups", (2, 4, 6, 7), (6, 2, 3, 3), stride=2, padding=2, groups=2),
    _conv2d("pairs", (1, 2, 6, 5), (3, 2, 3, 2), stride=(1, 2), padding=(0, 2)),
    _conv2d("a group for each channel", (2, 3, 4, 4), (3, 1, 2, 2), groups=3),
    _conv2d("1x1 on one pixel", (1, 1, 1, 1), (1, 1, 1, 1)),
    _conv2d("strides that leave pixels out", (1, 2, 6, 6), (2, 2, 1, 2), stride=4),
    _max_pool2d("overlapping", (2, 3, 5, 7), size=3, stride=2),
    _max_pool2d("over the edge", (1, 2, 6, 8), size=3, stride=2),
    _max_pool2d("rounded down", (1, 2, 6, 8), size=3, stride=2, ceil_mode=False),
    _max_pool2d("pairs", (2, 1, 6, 5), size=(2, 3), stride=(3, 1)),
    _max_pool2d("gaps between windows", (1, 2, 7, 7), size=2, stride=3),
    _max_pool2d("larger than the map", (1, 1, 2, 2), size=3, stride=2),
    _local_response_norm("of 5", (2, 7, 2, 3), size=5, alpha=0.5),
    _local_response_norm("of 3, k = 2", (1, 4, 3, 2), size=3, alpha=1.0, beta=0.5, k=2.0),
    _local_response_norm("wider than the channels", (2, 2, 3), size=7, alpha=0.3),
    _local_response_norm("of one channel", (2, 1, 2, 2), size=5, alpha=0.1),
    Operation("relu", spaced((2, 3, 2, 2)), nn.relu, nn.relu_backward, loops.relu, analytic=False),
    Operation("softmax", normal((2, 4, 2, 3)), nn.softmax, nn.softmax_backward, loops.softmax),
    Operation(
        "softmax over the last axis",
        normal((3, 5)),
        partial(nn.softmax, axis=-1),
        nn.softmax_backward,
        partial(loops.softmax, axis=-1),
    ),
    Operation("log_softmax", normal((2, 4, 2, 3)), nn.log_softmax, nn.log_softmax_backward, loops.log_softmax),
    Operation(
        "dropout",
        normal((2, 3, 4, 2)),
        lambda x: nn.dropout(x, p=0.4, rng=np.random.default_rng(7)),
        nn.dropout_backward,
        _dropped,
    ),
    Operation(
        "dropout in evaluation", normal((2, 3)), partial(nn.dropout, p=0.4, rng=None), nn.dropout_backward, np.array
    ),
    Operation(
        "extract_windows",
        normal((2, 1, 5, 6)),
        lambda x: (nn.extract_windows(x, (2, 3), (2, 1), (2, 4)), None),
        lambda gradient, _: nn.scatter_windows(gradient, (2, 1, 5, 6), (2, 3), (2, 1)),
        partial(loops.extract_windows, kernel=(2, 3), stride=(2, 1), out=(2, 4)),
    ),
    Operation(
        "scatter_windows",
        normal((2, 6, 1, 2, 4)),
        lambda windows: (nn.scatter_windows(windows, (2, 1, 5, 6), (2, 3), (2, 1)), None),
        lambda gradient, _: nn.extract_windows(gradient, (2, 3), (2, 1), (2, 4)),
        partial(loops.scatter_windows, shape=(2, 1, 5, 6), kernel=(2, 3), stride=(2, 1)),
    ),
]
