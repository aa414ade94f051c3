"""The benchmark for GPUs, on a CPU: it compares, times every layer, and says what it lacks."""

from __future__ import annotations

import importlib.util
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.gpu.make_believe_cupy import installed
from tinysegrank.backend import get_backend
from tinysegrank.errors import BackendError
from tinysegrank.segnet import SegNet

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed; run `pip install '.[torch]'`")

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location("benchmark_gpu", FOLDER / "gpu.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_gpu", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "make-believe:1"])
def test_both_ways_and_each_layer_are_timed(gpu: ModuleType, backend: str) -> None:
    """Also on the second make-believe device, while the first is current."""
    if not (make_believe := backend.startswith("make-believe")):
        pytest.importorskip(backend, reason=f"{backend} is not installed")
    with installed() if make_believe else nullcontext():
        name = backend.replace("make-believe", "cupy")
        both, layers = gpu.compare("tiny", 2, backend=name, device="cpu", turns=1)
    assert [row[0] for row in both.rows] == [
        *["forward pass"] * 3,
        *["training step, conv6 to conv8"] * 3,
        *["a step of a whole training"] * 3,
    ]
    assert all(row[2] > 0 for row in both.rows)
    assert both.rows[0][3] == both.rows[3][3] == both.rows[6][3] == 1
    assert [row[0] for row in layers.rows] == [*SegNet(21, "tiny").network.layers, "all"]
    alone = [sum(row[column] or 0 for row in layers.rows[:-1]) for column in (1, 2, 3)]
    np.testing.assert_allclose(layers.rows[-1][1:], alone)
    assert all(row[3] > 0 for row in layers.rows if row[0].startswith(("conv", "pool", "norm", "relu")))


def test_numbers_that_differ_are_no_comparison(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    x, *others = gpu.data("tiny", 1)
    monkeypatch.setattr(gpu, "data", lambda preset, images: (2 * x, *others))
    with pytest.raises(AssertionError, match="scores differ"):
        gpu.compare("tiny", 1, backend="numpy", device="cpu", turns=1)


def test_a_batch_that_does_not_fit_is_left_out(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = gpu.compare

    class OutOfMemoryError(Exception):
        """CuPy's and PyTorch's have this name."""

    def compare(preset: str, images: int, **options: object):
        if images == 2:
            raise OutOfMemoryError("8 GiB asked for")
        return honest(preset, images, **options)

    monkeypatch.setattr(gpu, "compare", compare)
    monkeypatch.setenv("CUPY_TF32", "?")  # so that its value comes back
    with installed():  # pools are freed between the batches
        gpu.main(["--tf32", "--torch", "cpu", "--preset", "tiny", "--batches", "2", "1", "--turns", "1"])
    assert os.environ["CUPY_TF32"] == "1"
    said = capsys.readouterr().out
    assert "2 images do not fit the device's memory: 8 GiB asked for" in said
    assert "on 1 images" in said


def test_what_is_missing_is_named(gpu: ModuleType) -> None:
    try:
        get_backend("cupy")
    except BackendError:
        with pytest.raises(SystemExit, match=r"gpu\.py: .*cupy"):
            gpu.main([])
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match="finds no CUDA device"):
            gpu.main(["--backend", "numpy", "--preset", "tiny", "--batches", "1"])
