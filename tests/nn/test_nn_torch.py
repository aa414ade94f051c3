"""The layer library against torch and its autograd: forward and backward, in both precisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.nn.nn_operations import conv, normal, spaced, spaced_values
from tests.nn.nn_strategies import LAYERS, AnyLayer, layers
from tests.operations import TOLERANCE, assert_close
from tinysegrank import nn

torch = pytest.importorskip("torch", reason="torch is not installed; run `pip install '.[torch]'`")
F = torch.nn.functional


class Peer(NamedTuple):
    """A layer here, and the same in torch."""

    name: str
    draw: Callable[[np.random.Generator], Sequence[np.ndarray]]
    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[[Any, Any], Any]
    torch: Callable[..., Any]

    def __str__(self) -> str:
        return self.name


def _conv2d(name: str, x: tuple[int, ...], weight: tuple[int, ...], **options: Any) -> Peer:
    return Peer(
        f"conv2d {name}",
        normal(x, weight, weight[:1]),
        partial(nn.conv2d, **options),
        nn.conv2d_backward,
        partial(F.conv2d, **options),
    )


def _max_pool2d(name: str, draw: Any, size: Any, stride: Any, ceil_mode: bool = True) -> Peer:
    return Peer(
        f"max_pool2d {name}",
        draw,
        partial(nn.max_pool2d, size=size, stride=stride, ceil_mode=ceil_mode),
        nn.max_pool2d_backward,
        partial(F.max_pool2d, kernel_size=size, stride=stride, ceil_mode=ceil_mode),
    )


def _dropout(x: Any, *, p: float, rng: int) -> Any:
    """By the definition, with the same draws."""
    keep = np.random.default_rng(rng).random(tuple(x.shape), dtype=np.float32) >= np.float32(p)
    return x * torch.tensor(keep) / (1 - p)


def _windows(x: Any) -> Any:
    """(C, N, H, W) to (C, T, N, OH, OW)."""
    unfolded = F.unfold(x.permute(1, 0, 2, 3), (2, 3), stride=(2, 1))  # (N, C * T, OH * OW)
    return unfolded.reshape(3, 2, 6, 2, 4).permute(1, 2, 0, 3, 4)


def _fold(windows: Any) -> Any:
    """(C, T, N, OH, OW) to (C, N, H, W)."""
    folded = F.fold(windows.permute(2, 0, 1, 3, 4).reshape(3, 12, 8), (5, 6), (2, 3), stride=(2, 1))
    return folded.permute(1, 0, 2, 3)


def _network(x: Any, *p: Any) -> Any:
    """Convolution, ReLU, pooling, normalisation, convolution with groups, softmax."""
    y = F.local_response_norm(F.max_pool2d(F.relu(F.conv2d(x, p[0], p[1])), 3, 2, ceil_mode=True), 3, alpha=0.5)
    return F.softmax(F.conv2d(y, p[2], p[3], padding=1, groups=2), dim=1)


def _draw_network(rng: np.random.Generator) -> list[np.ndarray]:
    parameters = [array for c in (conv(rng, 4, 3), conv(rng, 6, 2)) for array in c.parameters.values()]
    return [spaced_values(rng, (2, 3, 8, 10)) / 9, *parameters]


def _our_network(x: np.ndarray, *p: np.ndarray) -> tuple[Any, Any]:
    layers = {
        "a": nn.Conv2d(p[0], p[1]),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(),
        "norm": nn.LocalResponseNorm(size=3, alpha=0.5),
        "b": nn.Conv2d(p[2], p[3], padding=1, groups=2),
        "softmax": nn.Softmax(),
    }
    net = nn.Sequential(layers, input_gradient=True)
    y, context = net.forward(x)
    return y, (net, context)


def _our_network_backward(gradient: np.ndarray, context: Any) -> tuple[Any, ...]:
    gx, gradients = context[0].backward(gradient, context[1])
    return gx, *(gradients[name] for name in ("a.weight", "a.bias", "b.weight", "b.bias"))


def _tied(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(0, 3, (2, 3, 8, 9)).astype(float)]


PEERS = [
    _conv2d("first of AlexNet", (1, 3, 35, 31), (8, 3, 11, 11), stride=4),
    _conv2d("second of AlexNet", (2, 6, 9, 9), (8, 3, 5, 5), padding=2, groups=2),
    _conv2d("pairs", (3, 4, 8, 7), (6, 2, 3, 2), stride=(2, 1), padding=(0, 1), groups=2),
    _max_pool2d("at 231", spaced((1, 2, 28, 28)), 3, 2),
    _max_pool2d("at 231, rounded down", spaced((1, 2, 28, 28)), 3, 2, ceil_mode=False),
    _max_pool2d("pairs", spaced((2, 2, 9, 8)), (2, 3), (1, 2)),
    _max_pool2d("with ties", _tied, 3, 2),
    Peer(
        "local_response_norm",
        normal((2, 9, 4, 3)),
        partial(nn.local_response_norm, size=5, alpha=0.5),
        nn.local_response_norm_backward,
        partial(F.local_response_norm, size=5, alpha=0.5),
    ),
    Peer(
        "local_response_norm of 3, k = 2",
        normal((1, 4, 5)),
        partial(nn.local_response_norm, size=3, alpha=1.0, beta=0.5, k=2.0),
        nn.local_response_norm_backward,
        partial(F.local_response_norm, size=3, alpha=1.0, beta=0.5, k=2.0),
    ),
    Peer("relu", normal((3, 4, 5)), nn.relu, nn.relu_backward, F.relu),
    Peer("relu at 0", lambda rng: [rng.integers(-1, 2, (4, 5)).astype(float)], nn.relu, nn.relu_backward, F.relu),
    Peer("softmax", normal((2, 5, 3, 4)), nn.softmax, nn.softmax_backward, partial(F.softmax, dim=1)),
    Peer("log_softmax", normal((2, 5, 3, 4)), nn.log_softmax, nn.log_softmax_backward, partial(F.log_softmax, dim=1)),
    Peer(
        "dropout",
        normal((3, 4, 5)),
        lambda x: nn.dropout(x, p=0.4, rng=np.random.default_rng(7)),
        nn.dropout_backward,
        partial(_dropout, p=0.4, rng=7),
    ),
    Peer(
        "extract_windows",
        normal((2, 3, 5, 6)),
        lambda x: (nn.extract_windows(x, (2, 3), (2, 1), (2, 4)), None),
        lambda gradient, _: nn.scatter_windows(gradient, (2, 3, 5, 6), (2, 3), (2, 1)),
        _windows,
    ),
    Peer(
        "scatter_windows",
        normal((2, 6, 3, 2, 4)),
        lambda windows: (nn.scatter_windows(windows, (2, 3, 5, 6), (2, 3), (2, 1)), None),
        lambda gradient, _: nn.extract_windows(gradient, (2, 3), (2, 1), (2, 4)),
        _fold,
    ),
    Peer("a whole network", _draw_network, _our_network, _our_network_backward, _network),
]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("peer", PEERS, ids=str)
def test_forward_and_gradients_are_torchs(peer: Peer, dtype: str, rng: np.random.Generator) -> None:
    arrays = [a.astype(dtype) for a in peer.draw(rng)]
    result, context = peer.forward(*arrays)
    cotangent = rng.standard_normal(result.shape).astype(dtype)
    gradients = peer.backward(cotangent, context)

    inputs = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = peer.torch(*inputs)
    expected.backward(torch.tensor(cotangent))
    assert_close(result, expected, TOLERANCE[dtype])
    for found, tensor in zip(gradients if isinstance(gradients, tuple) else (gradients,), inputs, strict=True):
        assert_close(found, tensor.grad, TOLERANCE[dtype])


IN_TORCH: dict[str, Callable[..., Any]] = {
    "conv2d": F.conv2d,
    "max_pool2d": lambda x, *, size, **options: F.max_pool2d(x, size, **options),
    "local_response_norm": F.local_response_norm,
    "relu": F.relu,
    "softmax": lambda x, *, axis: F.softmax(x, dim=axis),
    "log_softmax": lambda x, *, axis: F.log_softmax(x, dim=axis),
    "dropout": _dropout,
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data())
def test_layers_of_any_shape_are_torchs(name: str, dtype: str, data: st.DataObject) -> None:
    case: AnyLayer = data.draw(layers(name))
    assume(name != "local_response_norm" or case.arrays[0].ndim >= 3)  # torch's takes no less
    arrays = [array.astype(dtype) for array in case.arrays]
    result, context = case.forward(*arrays)
    cotangent = np.random.default_rng(0).standard_normal(result.shape).astype(dtype)
    inputs = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = IN_TORCH[name](*inputs, **case.options)
    expected.backward(torch.tensor(cotangent))
    found = result, *case.backward(cotangent, context)
    for array, tensor in zip(found, (expected, *(t.grad for t in inputs)), strict=True):
        assert array.dtype == dtype
        assert_close(array, tensor, TOLERANCE[dtype], least=1.0)


def test_pooled_sizes_are_torchs() -> None:
    for length, size, stride, ceil_mode in np.ndindex(30, 4, 4, 2):
        length, size, stride = length + 4, size + 1, stride + 1
        y, _ = nn.max_pool2d(np.zeros((1, 1, length, 4)), size=size, stride=stride, ceil_mode=bool(ceil_mode))
        expected = F.max_pool2d(torch.zeros(1, 1, length, 4), size, stride, ceil_mode=bool(ceil_mode))
        assert y.shape == expected.shape


def test_torch_tensors_go_through_the_layers_and_stay_on_the_graph(rng: np.random.Generator) -> None:
    """Forward passes made of torch's own operations can be differentiated by torch: a check from the other side."""
    x = torch.tensor(rng.standard_normal((2, 4, 9, 9)), requires_grad=True)
    weight, bias = torch.tensor(rng.standard_normal((6, 2, 3, 3))), torch.tensor(rng.standard_normal(6))
    y, context = nn.conv2d(x, weight, bias, padding=1, groups=2)
    y, pool_context = nn.max_pool2d(y)
    y, norm_context = nn.local_response_norm(y, alpha=0.5)
    cotangent = torch.tensor(rng.standard_normal(tuple(y.shape)))
    y.backward(cotangent)
    with torch.no_grad():
        g = nn.local_response_norm_backward(cotangent, norm_context)
        gx, _, _ = nn.conv2d_backward(nn.max_pool2d_backward(g, pool_context), context)
    assert_close(gx, x.grad)
