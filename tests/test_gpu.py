"""On a CUDA device: parity with NumPy, two runs the same bit for bit, and how long a step takes.

`python -m pytest -m gpu` runs these; without a usable device they are skipped with the reason, or fail where
TINYSEGRANK_REQUIRE_GPU=1.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from tinysegrank import losses
from tinysegrank.backend import Array, Backend, get_backend, to_numpy
from tinysegrank.nn import SGD
from tinysegrank.segnet import SegNet

pytestmark = pytest.mark.gpu


@pytest.fixture
def cupy() -> Backend:
    return get_backend("cupy")


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


def training_steps(backend: Backend, count: int, size: int = 8) -> dict[str, np.ndarray]:
    """A few steps of all layers of the tiny network, with dropout; the parameters afterwards, on the host."""
    rng = np.random.default_rng(0)
    model = SegNet(preset="tiny", backend=backend, frozen=())
    step = steps_of(model)
    with backend.active():
        for _ in range(count):
            step([backend.asarray(array) for array in batch(rng, size)], rng)
    return {name: to_numpy(array) for name, array in model.parameters.items()}


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
    first, second = training_steps(cupy, 5), training_steps(cupy, 5)
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


def test_how_long_a_step_takes(cupy, record_property, capsys):
    """Steps alone: the arrays are on the device before. The host's time ends when the last kernel is queued."""
    rng, count = np.random.default_rng(0), 20
    arrays = [cupy.asarray(array) for array in batch(rng, 64)]
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
    with capsys.disabled():
        said = ", ".join(f"{1e3 * seconds / count:.2f} ms until the {name} is done" for name, seconds in times.items())
        print(f"\na step of the tiny network, all layers, batch 64: {said}, on {cupy.describe()}")
    assert 0 < times["host"] <= times["device"]
