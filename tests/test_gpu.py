"""On a CUDA device: parity with NumPy, two runs the same bit for bit, and how long a step takes.

`python -m pytest -m gpu` runs these; without a usable device they are skipped with the reason, or fail where
TINYSEGRANK_REQUIRE_GPU=1.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from tinysegrank import losses
from tinysegrank.backend import Backend, get_backend, to_numpy
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


def training_steps(backend: Backend, count: int, size: int = 8) -> dict[str, np.ndarray]:
    """A few steps of all layers of the tiny network, with dropout; the parameters afterwards, on the host."""
    rng = np.random.default_rng(0)
    model = SegNet(preset="tiny", backend=backend, frozen=())
    sgd, loss = SGD(rate=0.01, max_norm=5.0), losses.named("uoi+ce")
    for _ in range(count):
        x, target, weight = (backend.asarray(array) for array in batch(rng, size))
        _, grad_z = loss(model.forward(x, rng=rng), target, weight)
        model.network.assign(sgd.step(model.trainable, model.backward(grad_z)))
    return {name: to_numpy(array) for name, array in model.parameters.items()}


def test_the_forward_pass_agrees_with_numpy(cupy, rng):
    x, _, _ = batch(rng, 4)
    expected = SegNet(preset="tiny", backend=get_backend("numpy")).network(x)
    found = to_numpy(SegNet(preset="tiny", backend=cupy).network(cupy.asarray(x)))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", losses.TABLE)
def test_losses_agree_with_numpy(cupy, rng, name):
    _, target, weight = batch(rng, 4)
    z = rng.standard_normal(target.shape, dtype=np.float32)
    value, gradient = losses.named(name)(z, target, weight)
    on_device = losses.named(name)(*(cupy.asarray(array) for array in (z, target, weight)))
    np.testing.assert_allclose(to_numpy(on_device[0]), value, rtol=1e-4)
    np.testing.assert_allclose(to_numpy(on_device[1]), gradient, atol=1e-4 * np.abs(gradient).max())


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


def test_how_long_a_step_takes(cupy, record_property, capsys):
    training_steps(cupy, 2, size=64)  # compiles the kernels
    cupy.synchronize()
    started = time.perf_counter()
    training_steps(cupy, 10, size=64)
    cupy.synchronize()
    milliseconds = (time.perf_counter() - started) * 100
    record_property("milliseconds_a_step", milliseconds)
    with capsys.disabled():
        print(f"\ntiny network, all layers, batch 64: {milliseconds:.1f} ms a step on {cupy.describe()}")
    assert milliseconds > 0
