"""Trainings that are interrupted and go on from their checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.gpu.make_believe_cupy import installed
from tests.segnet.segnet_toys import CLASSES, IMAGES, OPTIONS, Recording, assert_same_bits, thin_model, trained
from tinysegrank.backend import Backend, get_backend, to_numpy
from tinysegrank.errors import CheckpointError
from tinysegrank.files import read_about, read_arrays, write_arrays
from tinysegrank.segnet import FeatureStore, SegNet, TrainingOptions, train
from tinysegrank.segnet.corpus import COUNTS


class InterruptionError(Exception):
    pass


def interrupt_at(step: int) -> Any:
    def progress(now: int, loss: float) -> None:
        if now == step:
            raise InterruptionError

    return progress


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("at", [2, 6, 8, 12])
def test_resumed_equals_uninterrupted(store: FeatureStore, tmp_path: Path, counts: str, at: int) -> None:
    """To the bit, log included: before the first checkpoint, within an epoch, at its end, and at the last step."""
    options = dataclasses.replace(OPTIONS, counts=counts, batch=4)  # three steps an epoch
    schedule = {"seed": 3, "log_every": 2, "checkpoint_every": 4}
    whole, records = thin_model(), []
    expected = train(whole, store, IMAGES, options, **schedule)

    checkpoint = tmp_path / "run" / "checkpoint"
    with pytest.raises(InterruptionError):
        train(thin_model(), store, IMAGES, options, **schedule, checkpoint=checkpoint, progress=interrupt_at(at))
    assert checkpoint.is_file() == (at > 4)
    resumed = thin_model()
    seen: list[int] = []
    records = train(
        resumed,
        store,
        IMAGES,
        options,
        **schedule,
        checkpoint=checkpoint,
        progress=lambda step, loss: seen.append(step),
    )
    assert seen[0] == {2: 2, 6: 6, 8: 6, 12: 10}[at]  # it did go on from the last checkpoint
    assert records == expected
    assert_same_bits(resumed, whole)


def test_every_line_of_the_log_averages_as_many_steps(store: FeatureStore, tmp_path: Path) -> None:
    """The last line too, where the steps are no multiple of `log_every`, and after an interruption."""
    options = dataclasses.replace(OPTIONS, batch=4, steps=11)
    each = [record.loss for record in train(thin_model(), store, IMAGES, options, seed=3, log_every=1)]
    expected = [(step, pytest.approx(np.mean(each[step - 4 : step]), rel=1e-6)) for step in (4, 8, 11)]
    schedule = {"seed": 3, "log_every": 4, "checkpoint_every": 4}
    assert train(thin_model(), store, IMAGES, options, **schedule) == expected
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(InterruptionError):
        train(thin_model(), store, IMAGES, options, **schedule, checkpoint=checkpoint, progress=interrupt_at(11))
    assert train(thin_model(), store, IMAGES, options, **schedule, checkpoint=checkpoint) == expected


def test_another_backend_does_not_resume_a_training(store: FeatureStore, tmp_path: Path) -> None:
    checkpoint, options = tmp_path / "checkpoint", dataclasses.replace(OPTIONS, steps=2)
    train(thin_model(), store, IMAGES, options, seed=3, checkpoint=checkpoint)
    with installed():
        model = thin_model(backend=get_backend("cupy"))
        with pytest.raises(CheckpointError, match=r"written by numpy on cpu, and cupy on cuda .*TINYSEGRANK_BACKEND"):
            train(model, store, IMAGES, options, seed=3, checkpoint=checkpoint)
    about = read_about(checkpoint)
    assert about.pop("backend") == "numpy on cpu"
    write_arrays(checkpoint, read_arrays(checkpoint), about=about)  # as a former version wrote it
    train(thin_model(), store, IMAGES, options, seed=3, checkpoint=checkpoint)


def test_resume_on_every_backend(store: FeatureStore, tmp_path: Path, backend: Backend) -> None:
    """Close to NumPy's numbers, and to the bit those of an uninterrupted training on the same backend."""
    if str(backend.device) == "meta":
        pytest.skip("the meta device has no values to train with")
    options = dataclasses.replace(OPTIONS, counts="running", steps=3)
    checkpoint, schedule = tmp_path / "checkpoint", {"seed": 7, "log_every": 1, "checkpoint_every": 1}
    with pytest.raises(InterruptionError):
        model = thin_model(backend=backend)
        train(model, store, IMAGES, options, **schedule, checkpoint=checkpoint, progress=interrupt_at(3))
    resumed = thin_model(backend=backend)
    train(resumed, store, IMAGES, options, **schedule, checkpoint=checkpoint)
    assert_same_bits(resumed, trained(store, backend=backend, counts="running", steps=3))
    made = backend.asarray(np.ones(1, np.float32))
    for name, array in trained(store, counts="running", steps=3).trainable.items():
        found = resumed.parameters[name]
        assert (found.dtype, found.device) == (made.dtype, made.device)
        np.testing.assert_allclose(to_numpy(found), array, rtol=0, atol=1e-4 * np.max(np.abs(array)))


def test_a_finished_training_is_taken_as_it_is(store: FeatureStore, tmp_path: Path) -> None:
    checkpoint, first = tmp_path / "checkpoint", thin_model()
    records = train(first, store, IMAGES, OPTIONS, seed=0, checkpoint=checkpoint)
    again = thin_model(seed=5)
    assert (
        train(
            again,
            Recording(tmp_path / "nothing", images=10, mirrors=True),
            IMAGES,
            OPTIONS,
            seed=0,
            checkpoint=checkpoint,
        )
        == records
    )
    for name, array in first.trainable.items():
        np.testing.assert_array_equal(again.parameters[name], array)


@pytest.mark.parametrize(
    ("log_every", "checkpoint_every", "expected"), [(5, 5, [5, 10, 12]), (5, 7, [10, 12]), (2, 5, [6, 12])]
)
def test_when_checkpoints_are_written(
    store: FeatureStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log_every: int,
    checkpoint_every: int,
    expected: list[int],
) -> None:
    from tinysegrank.segnet import training_loop

    written = []

    def write_arrays(path: Path, arrays: dict[str, np.ndarray], *, about: dict[str, str]) -> None:
        written.append(int(about["step"]))

    monkeypatch.setattr(training_loop, "write_arrays", write_arrays)
    train(
        thin_model(),
        store,
        IMAGES,
        OPTIONS,
        seed=0,
        checkpoint=tmp_path / "checkpoint",
        log_every=log_every,
        checkpoint_every=checkpoint_every,
    )
    assert written == expected


# Checkpoints that are refused ------------------------------------------------------------


def test_damaged_checkpoints(store: FeatureStore, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    train(thin_model(), store, IMAGES, OPTIONS, seed=0, checkpoint=checkpoint)
    content = checkpoint.read_bytes()
    for length in (0, 7, 100, len(content) // 2, len(content) - 1):
        checkpoint.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"checkpoint: is damaged"):
            train(thin_model(), store, IMAGES, OPTIONS, seed=0, checkpoint=checkpoint)
    save_file({"a": np.zeros(1)}, checkpoint)
    with pytest.raises(CheckpointError, match="belongs to another training"):
        train(thin_model(), store, IMAGES, OPTIONS, seed=0, checkpoint=checkpoint)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda a: a * np.float32(np.nan), "conv6.weight holds NaN or infinity"),
        (np.zeros_like, "conv6.weight is 0 everywhere"),
        (None, "lacks conv6.weight"),
    ],
)
def test_parameters_that_cannot_be_right(store: FeatureStore, tmp_path: Path, change: Any, fault: str) -> None:
    checkpoint = tmp_path / "checkpoint"
    train(thin_model(), store, IMAGES, OPTIONS, seed=0, checkpoint=checkpoint)
    about, arrays = read_about(checkpoint), read_arrays(checkpoint)
    held = arrays.pop("parameter/conv6.weight")
    write_arrays(checkpoint, arrays | ({"parameter/conv6.weight": change(held)} if change else {}), about=about)
    with pytest.raises(CheckpointError, match=f"checkpoint: {fault}; delete it and run again"):
        train(thin_model(), store, IMAGES, OPTIONS, seed=0, checkpoint=checkpoint)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"seed": 1}, id="seed"),
        pytest.param({"images": np.array([0, 1, 3, 4, 5, 6, 9])}, id="as-many-other-images"),
        pytest.param({"images": IMAGES[:-1]}, id="fewer-images"),
        pytest.param({"options": dataclasses.replace(OPTIONS, rate=0.01)}, id="rate"),
        pytest.param({"options": dataclasses.replace(OPTIONS, counts="full")}, id="counts"),
        pytest.param({"model": lambda: SegNet(CLASSES, "thin-alexnet")}, id="preset"),
        pytest.param({"model": lambda: thin_model(feature_scale=0.5)}, id="feature-scale"),
        pytest.param({"model": lambda: thin_model(dropout=0.25)}, id="dropout"),
        pytest.param({"model": lambda: thin_model(frozen=("conv6",))}, id="frozen"),
    ],
)
def test_the_checkpoint_of_another_training(store: FeatureStore, tmp_path: Path, change: dict[str, Any]) -> None:
    arguments = {"model": thin_model, "images": IMAGES, "options": OPTIONS, "seed": 0}

    def run(model: Any, images: np.ndarray, options: TrainingOptions, seed: int) -> None:
        train(model(), store, images, options, seed=seed, checkpoint=tmp_path / "checkpoint")

    run(**arguments)
    run(**arguments)
    with pytest.raises(CheckpointError, match="belongs to another training"):
        run(**(arguments | change))
