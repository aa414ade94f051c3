"""On the make-believe CuPy: what it refuses and counts, and what a pass and a step cost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import array_api_compat
import numpy as np
import pytest

from tests.gpu.make_believe_cupy import installed, tally
from tinysegrank import losses
from tinysegrank.backend import VARIABLE, Backend, get_backend
from tinysegrank.experiment import Run, Silent, named_settings
from tinysegrank.nn import SGD
from tinysegrank.segnet import SegNet
from tinysegrank.testing import GradientError, check_backward


@pytest.fixture
def cupy() -> Iterator[Backend]:
    with installed():
        yield get_backend("cupy")


def batch(rng: np.random.Generator, size: int, side: int = 113) -> list[np.ndarray]:
    x = rng.standard_normal((size, 3, side, side), dtype=np.float32)
    target = rng.dirichlet(np.full(21, 0.2), (size, 13, 13)).transpose(0, 3, 1, 2).astype(np.float32)
    return [x, np.ascontiguousarray(target), rng.random((size, 13, 13), dtype=np.float32)]


# The make-believe itself: were it too kind, the other tests would say nothing -----------------------------------------


@pytest.mark.parametrize(
    "mistake",
    [
        lambda x, host: np.asarray(x),
        lambda x, host: x + host,
        lambda x, host: host * x,
        lambda x, host: np.sqrt(x),
        lambda x, host: x @ host.T,
        lambda x, host: x.__setitem__(..., host),
    ],
)
def test_it_refuses_to_mix_with_numpy(cupy: Backend, mistake: Any) -> None:
    host = np.ones((2, 3), np.float32)
    with pytest.raises((TypeError, ValueError)):
        mistake(cupy.asarray(host), host)


def test_it_refuses_arrays_of_another_device(cupy: Backend) -> None:
    there = get_backend("cupy:1").asarray(np.ones(3))
    with pytest.raises(ValueError, match="array on device 1, while device 0 is current"):
        there + there
    with get_backend("cupy:1").active():
        assert (there + there).device == there.device


def test_it_counts(cupy: Backend) -> None:
    x = cupy.asarray(np.ones((4, 2, 3), np.float32))
    tally.reset()
    turned = cupy.xp.permute_dims(x, (0, 2, 1))  # a view
    assert tally.launches.total() == 0
    turned @ x  # copies its first operand
    x[0] + 1
    assert tally.launches == {"matmul": 2, "add": 1}
    float(cupy.xp.sum(x))
    x[x > 0]
    assert tally.waits == {"float": 1, "boolean mask": 1}
    assert isinstance(x[0, 0, 0], type(x))


def test_it_leaves_nothing_behind() -> None:
    """Else its functions would compute a real CuPy's arrays; here another make-believe one stands for the real one."""

    def seen() -> tuple[object, ...]:
        modules = (sys.modules.get(name) for name in ("cupy", "array_api_compat.cupy"))
        return *modules, vars(array_api_compat).get("cupy")

    before = seen()
    with installed():
        get_backend("cupy")
        real = seen()
        with installed():
            get_backend("cupy")
            assert all(one is not other for one, other in zip(seen(), real, strict=True))
        assert seen() == real
        assert real[1] is real[2] is get_backend("cupy").xp
    assert seen() == before


# Costs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("images", "launches"), [(1, 32), (64, 175)])
def test_launches_of_a_forward_pass(cupy: Backend, monkeypatch: pytest.MonkeyPatch, images: int, launches: int) -> None:
    """Columns never take more than a part's 32 MB, whatever the batch: beside them are maps and products."""
    model, x = SegNet(preset="alexnet", backend=cupy), cupy.xp.zeros((images, 3, 227, 227), dtype=np.float32)
    monkeypatch.setattr(tally, "computes", False)
    tally.reset()
    before, map_bytes = tally.held, 4 * images * 96 * 55 * 55
    model.network(x)
    assert tally.launches.total() <= launches
    assert not tally.waits
    assert not tally.transfers
    assert tally.peak - before <= 3 * map_bytes + 1.2 * 32 * 2**20  # norm1's input, output and scale


def test_launches_of_a_training_step_on_cached_features(cupy: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """With AlexNet's sizes and 64 images."""
    rng = np.random.default_rng(0)
    target, weight = (cupy.asarray(array) for array in batch(rng, 64, side=1)[1:])
    model, sgd, loss = SegNet(preset="alexnet", backend=cupy), SGD(rate=0.01, max_norm=5.0), losses.named("uoi+ce")
    features = cupy.xp.zeros((64, 256, 13, 13), dtype=np.float32)
    monkeypatch.setattr(tally, "computes", False)
    for _ in range(2):  # the first step makes the velocities
        tally.reset()
        _, grad_z = loss(model.forward_features(features, rng=np.random.default_rng(0)), target, weight)
        model.network.assign(sgd.step(model.trainable, model.backward(grad_z)))
    assert tally.launches.total() <= 118
    assert not tally.waits
    assert not tally.transfers


# What the program says and does about a GPU --------------------------------------------------------------------------


def test_the_backend_is_described_with_its_card(cupy: Backend) -> None:
    said = "cupy 14.2.0 on <CUDA Device 1> (Make-believe 1, 8 GiB, CUDA 12.8 by the driver, 12.6 by CuPy)"
    assert get_backend("cupy:1").describe() == said
    assert (cupy.kind, cupy.on_host) == ("cupy on cuda", False)
    assert (get_backend("numpy").kind, get_backend("numpy").on_host) == ("numpy on cpu", True)


def test_work_on_a_gpu_takes_one_process_a_device(cupy: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(Path("run"), named_settings("quick"), 4, Silent())
    assert run.backend_jobs == 4
    monkeypatch.setenv(VARIABLE, "cupy")
    assert run.backend_jobs == 1
    monkeypatch.setenv(VARIABLE, "cupy:0,1")
    assert (run.backend_jobs, replace(run, jobs=1).backend_jobs) == (2, 1)


def test_a_layer_of_ones_own_is_checked_on_any_backend(cupy: Backend) -> None:
    there = get_backend("cupy:1")
    devices = []

    def square(x: Any) -> tuple[Any, Any]:
        devices.append(x.device)
        return x * x, x

    check_backward(square, lambda gradient, x: 2 * x * gradient, [np.arange(6.0)], backend=there)
    assert set(devices) == {there.device}
    with pytest.raises(GradientError, match="the gradient of input 0 is wrong"):
        check_backward(square, lambda gradient, x: 3 * x * gradient, [np.arange(6.0)], backend=there)
