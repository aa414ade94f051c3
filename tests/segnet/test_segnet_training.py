"""Training of the head: what a step is, what it reads, and what it refuses; going on is in the tests of resume."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.segnet.segnet_toys import IMAGES, OPTIONS, Recording, assert_same_bits, batch_of, thin_model, trained
from tinysegrank.backend import get_backend
from tinysegrank.errors import ConfigError, ShapeError, TrainingError
from tinysegrank.losses import TABLE, soft_cross_entropy
from tinysegrank.segnet import FeatureStore, TrainingOptions, predict_features, train
from tinysegrank.segnet.corpus import COUNTS

# What a step is ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "counts"), [*((loss, "batch") for loss in TABLE), *(("uoi", counts) for counts in COUNTS[1:])]
)
def test_loss_falls_and_classes_are_learnt(store: FeatureStore, loss: str, counts: str) -> None:
    model = thin_model(dropout=0.1)
    steps = 100
    options = TrainingOptions(loss=loss, steps=steps, rate=0.1, batch=10, counts=counts, min_mass=0.5, decay=0.0)
    records = train(model, store, IMAGES, options, seed=1, log_every=10)
    assert [record.step for record in records] == list(range(10, steps + 1, 10))
    assert records[-1].loss < records[0].loss
    held_out = store.rows_of(np.setdiff1d(np.arange(10), IMAGES))
    truth = store.gather("targets", held_out).argmax(axis=-1)
    found = predict_features(model, store.gather("features", held_out)).argmax(axis=-1)
    assert np.mean(found == truth) > 0.8  # a quarter by chance


def test_steps_by_hand(store: FeatureStore) -> None:
    """Four steps on all rows without dropout: momentum, decay, clipping, and a rate that drops half-way."""
    model, by_hand = thin_model(dropout=0.0), thin_model(dropout=0.0)
    options = TrainingOptions(
        loss="ce", steps=4, rate=0.5, drop_at=0.5, batch=1000, momentum=0.8, decay=0.01, max_norm=0.05
    )
    records = train(model, store, IMAGES, options, seed=0, log_every=1)

    features, target, weight = batch_of(store, store.rows_of(IMAGES))
    velocity = dict.fromkeys(by_hand.trainable, 0.0)
    for step, rate in enumerate([0.5, 0.5, 0.05, 0.05]):
        value, grad_z = soft_cross_entropy(by_hand.forward_features(features), target, weight)
        gradients = by_hand.backward(grad_z)
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        assert norm > 0.05  # so it is clipped
        for name, gradient in gradients.items():
            w = by_hand.parameters[name]
            velocity[name] = 0.8 * velocity[name] + rate * (gradient * 0.05 / norm + 0.01 * w)
            by_hand.assign({name: (w - velocity[name]).astype(np.float32)})
        assert records[step] == (step + 1, pytest.approx(float(value), rel=1e-5))
    for name, array in by_hand.trainable.items():
        np.testing.assert_allclose(model.parameters[name], array, rtol=0, atol=1e-5 * np.max(np.abs(array)))


def test_max_norm_0_does_not_clip(store: FeatureStore) -> None:
    assert_same_bits(trained(store, max_norm=0.0), trained(store, max_norm=1e30))
    with pytest.raises(AssertionError):
        assert_same_bits(trained(store, max_norm=0.0), trained(store, max_norm=0.01))


@pytest.mark.parametrize("counts", COUNTS)
def test_only_the_head_moves(store: FeatureStore, counts: str) -> None:
    model, before = trained(store, counts=counts), thin_model()
    for name, array in before.trunk.parameters.items():
        np.testing.assert_array_equal(model.parameters[name], array, strict=True)
    for name, array in before.head.parameters.items():
        assert not np.array_equal(model.parameters[name], array)
        assert model.parameters[name].dtype == np.float32


@pytest.mark.parametrize("counts", COUNTS)
def test_held_out_rows_are_never_read(store: FeatureStore, counts: str) -> None:
    recording = Recording(store.folder, images=10, mirrors=True, chunk=3)
    train(thin_model(), recording, IMAGES, dataclasses.replace(OPTIONS, counts=counts), seed=0)
    read: dict[str, list[np.ndarray]] = recording.__dict__["read"]
    assert read.keys() == {"features", "targets", "weights"}
    for rows in read.values():
        np.testing.assert_array_equal(np.unique(np.concatenate(rows)), store.rows_of(IMAGES))
    for one, other in zip(read["features"], read["targets"], strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_epoch_takes_each_row_once_at_most(store: FeatureStore) -> None:
    """14 rows in minibatches of 5: two steps an epoch, each epoch in another order."""
    recording = Recording(store.folder, images=10, mirrors=True, chunk=3)
    train(thin_model(), recording, IMAGES, OPTIONS, seed=0)
    read: list[np.ndarray] = recording.__dict__["read"]["features"]
    assert [len(rows) for rows in read] == [5] * 12
    epochs = [np.concatenate(read[step : step + 2]) for step in range(0, 12, 2)]
    assert all(len(set(epoch.tolist())) == 10 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_full_takes_all_rows_twice_a_step(store: FeatureStore) -> None:
    recording = Recording(store.folder, images=10, mirrors=True, chunk=3)
    train(thin_model(), recording, IMAGES, dataclasses.replace(OPTIONS, counts="full", steps=3), seed=0)
    read: list[np.ndarray] = recording.__dict__["read"]["features"]
    assert [len(rows) for rows in read] == [5, 5, 4] * 2 * 3
    np.testing.assert_array_equal(np.concatenate(read), np.tile(store.rows_of(IMAGES), 6))


# Seeds and order -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", COUNTS)
def test_seeds(store: FeatureStore, counts: str) -> None:
    model = trained(store, counts=counts)
    assert_same_bits(model, trained(store, counts=counts))
    assert not np.allclose(
        model.parameters["conv8.weight"], trained(store, counts=counts, seed=8).parameters["conv8.weight"]
    )


@pytest.mark.parametrize("counts", COUNTS)
def test_every_batch_draws_its_own_dropout(store: FeatureStore, counts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With "full" the second pass over the batches draws what the first drew."""
    model, drawn = thin_model(), []
    forward = model.forward_features

    def spy(features: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        drawn.append(str(rng.bit_generator.state))
        return forward(features, rng=rng)

    monkeypatch.setattr(model, "forward_features", spy)
    train(model, store, IMAGES, dataclasses.replace(OPTIONS, counts=counts), seed=0)
    if counts == "full":
        passes = [drawn[start : start + 3] for start in range(0, len(drawn), 3)]
        assert passes[::2] == passes[1::2]
        drawn = [state for each in passes[::2] for state in each]
    assert len(drawn) == 12 * (3 if counts == "full" else 1)
    assert len(set(drawn)) == len(drawn)


def test_the_order_of_images_does_not_matter(store: FeatureStore) -> None:
    shuffled = thin_model()
    train(shuffled, store, IMAGES[::-1], OPTIONS, seed=7)
    assert_same_bits(shuffled, trained(store))


def test_full_does_not_depend_on_the_batch(store: FeatureStore) -> None:
    """Without dropout it is full-batch descent, whatever the pieces; so is "batch" with one batch for all."""
    models = []
    for counts, batch in (("full", 4), ("full", 14), ("batch", 14), ("corpus", 14)):
        models.append(thin_model(dropout=0.0))
        train(models[-1], store, IMAGES, dataclasses.replace(OPTIONS, counts=counts, batch=batch), seed=batch)
    for other in models[1:]:
        for name, array in models[0].trainable.items():
            np.testing.assert_allclose(other.parameters[name], array, rtol=0, atol=2e-5 * np.max(np.abs(array)))


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy says so too
@pytest.mark.parametrize("counts", COUNTS)
def test_divergence(store: FeatureStore, tmp_path: Path, counts: str) -> None:
    options = dataclasses.replace(OPTIONS, counts=counts, rate=1e20, loss="ce")
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(
        TrainingError,
        match=r"the ce loss is (nan|inf) at step [1-4] and conv\d.\w+ holds NaN or infinity: the training",
    ):
        train(thin_model(), store, IMAGES, options, seed=0, log_every=4, checkpoint_every=4, checkpoint=checkpoint)
    assert not checkpoint.exists()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_last_step_that_spoils_the_parameters(store: FeatureStore, tmp_path: Path) -> None:
    """Its loss was finite, as it was computed before."""
    options = dataclasses.replace(OPTIONS, loss="ce", steps=1, rate=1e39)
    for checkpoint in (None, tmp_path / "checkpoint"):
        with pytest.raises(TrainingError, match=r"conv\d.\w+ holds NaN or infinity after step 1: the training"):
            train(thin_model(), store, IMAGES, options, seed=0, checkpoint=checkpoint)
        assert checkpoint is None or not checkpoint.exists()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_first_bad_step_is_named_and_the_last_good_checkpoint_stays(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, often = dataclasses.replace(OPTIONS, counts="batch", loss="ce", steps=8), {"log_every": 2}
    whole, resumed, checkpoint = thin_model(), thin_model(), tmp_path / "checkpoint"
    records = train(whole, store, IMAGES, options, seed=0, **often)
    gather, read = FeatureStore.gather, []

    def spoilt(held: FeatureStore, name: str, rows: np.ndarray) -> np.ndarray:
        read.extend([name] * (name == "features"))
        bad = name == "features" and len(read) >= 5
        return gather(held, name, rows) * np.float32(np.nan if bad else 1)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "gather", spoilt)
        with pytest.raises(TrainingError, match="the ce loss is nan at step 5 and conv"):
            train(thin_model(), store, IMAGES, options, seed=0, checkpoint=checkpoint, checkpoint_every=2, **often)
    steps: list[int] = []

    def progress(step: int, loss: float) -> None:
        steps.append(step)

    again = train(resumed, store, IMAGES, options, seed=0, checkpoint=checkpoint, progress=progress, **often)
    assert steps == [6, 8] and again == records
    for name, array in whole.trainable.items():
        np.testing.assert_array_equal(resumed.trainable[name], array)


def test_no_images(store: FeatureStore) -> None:
    with pytest.raises(TrainingError, match="no training images"):
        train(thin_model(), store, np.array([], int), OPTIONS, seed=0)


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "dice"},
        {"counts": "all"},
        {"steps": 0},
        {"batch": 0},
        {"drop_at": 0.0},
        {"drop_at": 1.1},
        {"drop_at": float("nan")},
        {"rate": -0.1},
        {"rate": float("nan")},
        {"momentum": 1.0},
        {"decay": -1.0},
        {"max_norm": -1.0},
        {"max_norm": float("nan")},
        {"min_mass": -1.0},
    ],
    ids=str,
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=name):
        TrainingOptions(**options)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_weights_below_0_are_refused_before_they_reach_the_device(store: FeatureStore, library: str) -> None:
    if library == "torch":
        pytest.importorskip("torch", reason="torch is not installed")

    class Damaged(FeatureStore):
        def gather(self, kind: str, rows: np.ndarray | None = None) -> np.ndarray:
            read = super().gather(kind, rows)
            return read - 2 if kind == "weights" else read

    damaged = Damaged(store.folder, images=10, mirrors=True, chunk=3)
    with pytest.raises(ShapeError, match=f"{store.folder.name}: weight has an entry that is not at least 0"):
        train(thin_model(backend=get_backend(library)), damaged, IMAGES, OPTIONS, seed=0)
