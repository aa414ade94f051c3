"""On a device: parity with NumPy, two runs the same bit for bit, and how long a step takes.

Each test runs on the make-believe CuPy, so that it cannot fail at its first run on a GPU for a reason of its own, and,
with `python -m pytest -m gpu`, on a CUDA device. Without a usable one that is skipped with the reason, or fails where
TINYSEGRANK_REQUIRE_GPU=1.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest

from tests.operations import assert_close
from tinysegrank import losses, nn
from tinysegrank.backend import Array, Backend, get_backend, to_numpy
from tinysegrank.nn import SGD
from tinysegrank.segnet import SegNet


def batch(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = rng.standard_normal((size, 3, 113, 113), dtype=np.float32)
    target = rng.dirichlet(np.full(21, 0.2), (size, 13, 13)).transpose(0, 3, 1, 2).astype(np.float32)
    return x, np.ascontiguousarray(target), rng.random((size, 13, 13), dtype=np.float32)


def steps_of(model: SegNet) -> Callable[[list[Array], np.random.Generator], None]:
    """Return a function that takes one step of training."""
    sgd, loss = SGD(rate=0.01, max_norm=5.0), losses.named("uoi+ce")

    def step(arrays: list[Array], rng: np.random.Generator) -> None:
        x, target, weight = arrays
        _, grad_z = loss(model.forward(x, rng=rng), target, weight)
        model.network.assign(sgd.step(model.trainable, model.backward(grad_z)))

    return step


def training_steps(backend: Backend, count: int, size: int = 2) -> dict[str, np.ndarray]:
    """A few steps of all layers of the tiny network, with dropout; the parameters afterwards, on the host."""
    rng = np.random.default_rng(0)
    model = SegNet(preset="tiny", backend=backend, frozen=())
    step = steps_of(model)
    with backend.active():
        for _ in range(count):
            step([backend.asarray(array) for array in batch(rng, size)], rng)
    return {name: to_numpy(array) for name, array in model.parameters.items()}


LAYERS: dict[str, Callable[[Backend], nn.Layer]] = {
    "conv": lambda b: nn.Conv2d.initialised(4, 6, 3, rng=np.random.default_rng(0), backend=b, padding=1, groups=2),
    "strided conv": lambda b: nn.Conv2d.initialised(
        4, 6, 5, rng=np.random.default_rng(0), backend=b, stride=2, bias=False
    ),
    "pool": lambda _: nn.MaxPool2d(),
    "norm": lambda _: nn.LocalResponseNorm(3, alpha=0.5),
    "relu": lambda _: nn.ReLU(),
    "softmax": lambda _: nn.Softmax(),
    "dropout": lambda _: nn.Dropout(0.3),
}
LAYERS["all of them"] = lambda b: nn.Sequential(
    [LAYERS[name](b) for name in ("conv", "relu", "norm", "dropout", "pool")], input_gradient=True
)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_agree_with_numpy(cupy, rng, name, dtype, tolerance):
    """Each layer forward and backward: its output, and the gradients of its input and of its parameters."""
    x = rng.standard_normal((3, 4, 9, 8))

    def passes(backend: Backend) -> list[Array]:
        layer = nn.Sequential([LAYERS[name](backend)], input_gradient=True)
        layer.assign({key: backend.asarray(array, dtype=dtype) for key, array in layer.parameters.items()})
        y, context = layer.forward(backend.asarray(x, dtype=dtype), rng=np.random.default_rng(1))
        gradient = backend.asarray(np.random.default_rng(2).standard_normal(y.shape), dtype=dtype)
        gx, gradients = layer.backward(gradient, context)
        return [y, gx, *gradients.values()]

    expected, found = passes(get_backend("numpy")), passes(cupy)
    assert len(expected) == len(found) == 2 + len(LAYERS[name](cupy).parameters)
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.device) == (dtype, cupy.device)
        assert_close(one, other, tolerance)


def test_the_forward_pass_agrees_with_numpy(cupy, rng):
    x, _, _ = batch(rng, 4)
    expected = SegNet(preset="tiny", backend=get_backend("numpy")).network(x)
    found = to_numpy(SegNet(preset="tiny", backend=cupy).network(cupy.asarray(x)))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-12)])
@pytest.mark.parametrize("name", losses.TABLE)
def test_losses_agree_with_numpy(cupy, rng, name, dtype, tolerance):
    target, weight = (array.astype(dtype) for array in batch(rng, 4)[1:])
    z = rng.standard_normal(target.shape).astype(dtype)
    value, gradient = losses.named(name)(z, target, weight)
    on_device = losses.named(name)(*(cupy.asarray(array) for array in (z, target, weight)))
    np.testing.assert_allclose(to_numpy(on_device[0]), value, rtol=tolerance)
    np.testing.assert_allclose(to_numpy(on_device[1]), gradient, atol=tolerance * np.abs(gradient).max())


def test_corpus_counts_agree_with_numpy(cupy, rng):
    _, target, weight = batch(rng, 4)
    z = rng.standard_normal(target.shape, dtype=np.float32)
    expected = losses.CorpusCounts(21).update(z, target, weight)
    found = losses.CorpusCounts(21).update(*(cupy.asarray(array) for array in (z, target, weight)))
    np.testing.assert_allclose(found.intersection, expected.intersection, rtol=1e-4)


def test_training_agrees_with_numpy(cupy):
    expected, found = training_steps(get_backend("numpy"), 3), training_steps(cupy, 3)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-3 * np.abs(array).max(), err_msg=name)


def test_two_runs_are_the_same_bit_for_bit(cupy):
    first, second = training_steps(cupy, 3), training_steps(cupy, 3)
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array, err_msg=name)


@pytest.mark.parametrize("at", ["cupy:1", "cupy"])
def test_any_thread_computes_on_the_networks_device(cupy, at):
    """The second device is used where there is one, while the first is current."""
    if at == "cupy:1" and cupy.xp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one CUDA device; this needs two")
    found = []
    thread = threading.Thread(target=lambda: found.append(training_steps(get_backend(at), 2)))
    thread.start()
    thread.join()
    for name, array in training_steps(cupy, 2).items():
        np.testing.assert_array_equal(found[0][name], array, err_msg=name)


def test_how_long_a_step_takes(cupy, is_real, record_property, capsys):
    """Steps alone: the arrays are on the device before. The host's time ends when the last kernel is queued."""
    rng, count, images = np.random.default_rng(0), *((20, 64) if is_real else (1, 1))
    arrays = [cupy.asarray(array) for array in batch(rng, images)]
    model = SegNet(preset="tiny", backend=cupy, frozen=())
    step = steps_of(model)
    for _ in range(3):  # compiles the kernels, fills the memory pool
        step(arrays, rng)
    cupy.synchronize()
    started = time.perf_counter()
    for _ in range(count):
        step(arrays, rng)
    host = time.perf_counter() - started
    cupy.synchronize()
    times = {"host": host, "device": time.perf_counter() - started}
    for name, seconds in times.items():
        record_property(f"milliseconds_a_step_{name}", 1e3 * seconds / count)
    with capsys.disabled() if is_real else nullcontext():
        said = ", ".join(f"{1e3 * seconds / count:.2f} ms until the {name} is done" for name, seconds in times.items())
        print(f"\na step of the tiny network, all layers, batch {images}: {said}, on {cupy.describe()}")
    assert 0 < times["host"] <= times["device"]
