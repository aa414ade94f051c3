"""The trunk learns to classify a few colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.segnet.segnet_toys import CLASSES, thin_model
from tinysegrank.backend import get_backend, to_numpy
from tinysegrank.errors import CheckpointError, ShapeError, TrainingError
from tinysegrank.losses import soft_cross_entropy
from tinysegrank.segnet import SegNet, pretrain_trunk

COLOURS = np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220], [200, 200, 40]])


def colours(seed: int, count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, CLASSES, count)
    noise = rng.normal(0, 20, (count, 20, 30, 3))
    return np.clip(COLOURS[classes][:, None, None] + noise, 0, 255).astype(np.uint8), classes


def test_accuracy_rises() -> None:
    images, classes = colours(0)
    losses: list[float] = []
    untrained = pretrain_trunk(thin_model(), images, classes, steps=1, rate=0.0, batch=24, seed=0)
    accuracy = pretrain_trunk(
        thin_model(),
        images,
        classes,
        steps=40,
        rate=0.02,
        batch=8,
        seed=0,
        progress=lambda step, loss: losses.append(loss),
    )
    assert untrained < 0.6  # a quarter by chance
    assert accuracy > 0.9
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.3 * losses[0]


def test_accuracy_is_that_of_the_batch() -> None:
    """With a rate of 0 nothing is learnt, so it is the share of one class, whichever is guessed."""
    images, _ = colours(0)
    accuracies = {
        guess: pretrain_trunk(thin_model(), images[:4], np.full(4, guess), steps=1, rate=0.0, batch=4, seed=0)
        for guess in range(CLASSES)
    }
    assert sum(accuracies.values()) == pytest.approx(1.0)


def test_only_the_trunk_learns() -> None:
    model, before = thin_model(), thin_model()
    pretrain_trunk(model, *colours(0), steps=2, batch=4, seed=0)
    for name, array in before.trunk.parameters.items():
        assert not np.array_equal(model.parameters[name], array)
        assert model.parameters[name].dtype == np.float32
    for name, array in before.head.parameters.items():
        np.testing.assert_array_equal(model.parameters[name], array)


def run(seed: int, **options: Any) -> tuple[float, dict[str, np.ndarray]]:
    model = thin_model(**options)
    accuracy = pretrain_trunk(model, *colours(0), steps=3, batch=4, seed=seed)
    return accuracy, {name: to_numpy(array) for name, array in model.parameters.items()}


def test_seeds() -> None:
    (accuracy, one), (again, same), (_, other) = run(1), run(1), run(2)
    assert accuracy == again
    for name, array in one.items():
        np.testing.assert_array_equal(same[name], array, err_msg=name, strict=True)
    assert not np.array_equal(one["conv1.weight"], other["conv1.weight"])


def test_another_backend() -> None:
    pytest.importorskip("torch")
    (accuracy, one), (there, other) = run(1), run(1, backend=get_backend("torch"))
    assert accuracy == there
    for name, array in one.items():
        np.testing.assert_allclose(other[name], array, rtol=0, atol=1e-4 * max(np.max(np.abs(array)), 1e-3))


def test_fewer_images_than_a_batch() -> None:
    images, classes = colours(0, count=3)
    assert 0 <= pretrain_trunk(thin_model(), images, classes, steps=1, batch=32, seed=0) <= 1


# Interruptions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interrupted_at", [5, 6, 20])
def test_resumed_from_a_checkpoint_it_ends_with_the_same_bits(tmp_path: Path, interrupted_at: int) -> None:
    """The accuracy is of steps 19 and 20, so that one of them is before the last interruption."""
    seen: list[tuple[int, float]] = []

    def interrupt(step: int, loss: float) -> None:
        seen.append((step, loss))
        if step == interrupted_at and len(seen) == step:
            raise KeyboardInterrupt

    def pretrain(**options: Any) -> tuple[float, SegNet]:
        model = thin_model()
        return pretrain_trunk(model, *colours(0), steps=20, batch=4, seed=1, **options), model

    expected_seen: list[tuple[int, float]] = []
    expected, whole = pretrain(progress=lambda step, loss: expected_seen.append((step, loss)))
    saving = {"checkpoint": tmp_path / "checkpoint.safetensors", "checkpoint_every": 1 if interrupted_at == 20 else 3}
    with pytest.raises(KeyboardInterrupt):
        pretrain(progress=interrupt, **saving)
    accuracy, resumed = pretrain(progress=interrupt, **saving)
    begin = interrupted_at - 1 - (interrupted_at - 1) % saving["checkpoint_every"]
    assert seen[interrupted_at][0] == begin and np.isnan(seen[interrupted_at][1])
    assert seen[:interrupted_at] + seen[interrupted_at + 1 + (interrupted_at - begin) :] == expected_seen
    assert accuracy == expected
    for name, array in whole.trunk.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[name], array, err_msg=name, strict=True)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    images, classes = colours(0)
    options = {"steps": 2, "batch": 4, "checkpoint": tmp_path / "checkpoint.safetensors", "checkpoint_every": 1}
    pretrain_trunk(thin_model(), images, classes, seed=1, **options)
    for others in ((images[::-1], classes, 1), (images, classes[::-1], 1), (images, classes, 2)):
        with pytest.raises(CheckpointError, match="belongs to another training"):
            pretrain_trunk(thin_model(), *others[:2], seed=others[2], **options)


# What is refused -----------------------------------------------------------------------------------------------------


def test_nothing_to_learn_from() -> None:
    images, classes = colours(0)
    with pytest.raises(TrainingError, match="0 images"):
        pretrain_trunk(thin_model(), images[:0], classes[:0], steps=1, seed=0)
    with pytest.raises(TrainingError, match="0 steps"):
        pretrain_trunk(thin_model(), images, classes, steps=0, seed=0)


@pytest.mark.parametrize("wrong", [[0, 1], [0, 1, CLASSES], [0, 1, -1], [[0], [1], [2]]], ids=str)
def test_classes_that_do_not_fit(wrong: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"classes: give one of 0\.\.3 for each of the 3 images"):
        pretrain_trunk(thin_model(), colours(0, count=3)[0], np.array(wrong), steps=1, seed=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy says so too
def test_divergence() -> None:
    with pytest.raises(
        TrainingError,
        match=r"the classification loss is (nan|inf) at step 2 and conv\d.\w+ holds NaN or infinity: the",
    ):
        pretrain_trunk(thin_model(), *colours(0), steps=20, rate=1e20, batch=4, seed=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_last_step_that_spoils_the_trunk() -> None:
    """Its loss was finite, as it was computed before."""
    with pytest.raises(TrainingError, match=r"conv\d.\w+ holds NaN or infinity after step 1: the training diverged"):
        pretrain_trunk(thin_model(), *colours(0), steps=1, rate=1e42, batch=4, seed=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_last_good_checkpoint_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient that is not finite spoils the parameters, though the loss of its step is finite."""
    called = []

    def spoilt(z: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        called.append(z)
        value, gradient = soft_cross_entropy(z, target)
        return value, gradient * np.float32(np.nan if len(called) == 4 else 1)

    checkpoint = tmp_path / "checkpoint"
    monkeypatch.setattr("tinysegrank.segnet.pretraining.soft_cross_entropy", spoilt)
    with pytest.raises(TrainingError, match=r"^\w+.\w+ holds NaN or infinity after step 4"):
        pretrain_trunk(thin_model(), *colours(0), steps=6, batch=4, seed=0, checkpoint=checkpoint, checkpoint_every=2)
    steps = []
    pretrain_trunk(
        thin_model(),
        *colours(0),
        steps=6,
        batch=4,
        seed=0,
        checkpoint=checkpoint,
        progress=lambda step, loss: steps.append(step),
    )
    assert steps[0] == 2
