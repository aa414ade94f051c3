"""The counts that a step is taken against."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.segnet.segnet_toys import CLASSES, batch_of, in_float64, thin_model, toy_store
from tinysegrank.files import read_arrays, write_arrays
from tinysegrank.losses import CorpusCounts, named
from tinysegrank.segnet import TrainingOptions, train
from tinysegrank.segnet.corpus import CountsKeeper

FIELDS = ("intersection", "cardinality", "mass", "weight", "cross_entropy")


def drawn(rng: np.random.Generator, images: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z = 3 * rng.standard_normal((images, CLASSES, 5, 4))
    target = rng.dirichlet(np.ones(CLASSES), (images, 5, 4)).transpose(0, 3, 1, 2)
    return z, target, rng.random((images, 5, 4))


def by_hand(z: np.ndarray, target: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """The sums as the definitions have them, cell by cell."""
    sums = {"intersection": np.zeros(CLASSES), "cardinality": np.zeros(CLASSES), "mass": np.zeros(CLASSES)}
    sums |= {"weight": np.zeros(()), "cross_entropy": np.zeros(())}
    for image, row, column in np.ndindex(weight.shape):
        scores, p, w = z[image, :, row, column], target[image, :, row, column], weight[image, row, column]
        q = np.exp(scores) / np.exp(scores).sum()
        sums["intersection"] += w * q * p
        sums["cardinality"] += w * (q + p)
        sums["mass"] += w * p
        sums["weight"] += w
        sums["cross_entropy"] -= w * p @ np.log(q)
    return sums


def assert_counts(found: CorpusCounts, expected: dict[str, np.ndarray], tolerance: float = 1e-12) -> None:
    for field in FIELDS:
        np.testing.assert_allclose(getattr(found, field), expected[field], rtol=tolerance)


def keeper(mode: str) -> CountsKeeper:
    def refuse() -> CorpusCounts:
        raise AssertionError("no pass over all rows is due")

    return CountsKeeper(mode, CLASSES, refuse)


def test_batch_keeps_nothing(rng: np.random.Generator) -> None:
    counts = keeper("batch")
    counts.start_epoch()
    assert counts.present(*drawn(rng)) == (None, 1.0)
    assert counts.state() == {}


def test_running_is_an_average(rng: np.random.Generator) -> None:
    """0.9 of what was and 0.1 of the batch; the first batch stands alone."""
    counts, batches = keeper("running"), [drawn(rng, images) for images in (3, 1, 2)]
    sums = [by_hand(*batch) for batch in batches]
    average = sums[0]
    for number, batch in enumerate(batches):
        if number:
            average = {field: 0.9 * average[field] + 0.1 * sums[number][field] for field in FIELDS}
        counts.start_epoch()  # does nothing
        held, share = counts.present(*batch)
        assert held is not None
        assert_counts(held, average)
        assert share == pytest.approx(average["weight"] / sums[number]["weight"], rel=1e-12)


def test_corpus_counts_are_renewed_by_the_epoch(rng: np.random.Generator) -> None:
    passes = [CorpusCounts(CLASSES).update(*drawn(rng, 8)) for _ in range(2)]
    left = iter(passes)
    counts = CountsKeeper("corpus", CLASSES, lambda: next(left))
    for expected in passes:
        counts.start_epoch()
        for _ in range(2):
            batch = drawn(rng)
            held, share = counts.present(*batch)
            assert held is expected
            assert share == pytest.approx(expected.weight / batch[2].sum(), rel=1e-12)


def test_a_batch_of_void_has_no_gradient(rng: np.random.Generator) -> None:
    z, target, weight = drawn(rng)
    for mode in ("running", "corpus"):
        counts = CountsKeeper(mode, CLASSES, lambda: CorpusCounts(CLASSES).update(z, target, weight))
        counts.start_epoch()
        held, share = counts.present(z, target, np.zeros_like(weight))
        assert held is not None
        assert share == 0.0


@pytest.mark.parametrize("mode", ["running", "corpus"])
def test_state_through_a_file(rng: np.random.Generator, tmp_path: Path, mode: str) -> None:
    """To the bit, and as what it was: a number that comes back as an array would turn gradients into float64."""
    counts = CountsKeeper(mode, CLASSES, lambda: CorpusCounts(CLASSES).update(*drawn(rng)))
    counts.start_epoch()
    counts.present(*drawn(rng))
    write_arrays(tmp_path / "state", counts.state())
    restored = keeper(mode)
    restored.restore(read_arrays(tmp_path / "state"))
    for field in FIELDS:
        one, other = getattr(counts.held, field), getattr(restored.held, field)
        assert type(one) is type(other)
        np.testing.assert_array_equal(one, other)
    counts.start_epoch = restored.start_epoch = lambda: None
    batch = drawn(rng)
    (one, share), (other, other_share) = counts.present(*batch), restored.present(*batch)
    assert other_share.dtype == batch[0].dtype
    assert share == other_share
    np.testing.assert_array_equal(one.intersection, other.intersection)


def test_nothing_to_restore() -> None:
    counts = keeper("batch")
    counts.restore({})
    assert counts.held is None
    with pytest.raises(KeyError):  # a checkpoint of an earlier version
        keeper("running").restore({})


# In a training -------------------------------------------------------------------------------------------------------


def test_corpus_counts_of_a_training(tmp_path: Path) -> None:
    """All training rows, the incomplete batch too, without dropout, by the network as it was before the epoch."""
    store, images = toy_store(tmp_path / "features"), np.array([0, 2, 3, 6, 9])
    checkpoint = tmp_path / "checkpoint"
    options = TrainingOptions(loss="uoi", counts="corpus", steps=3, batch=3, min_mass=0.0)  # ten rows: one epoch
    train(thin_model(), store, images, options, seed=0, checkpoint=checkpoint)
    counts = CorpusCounts(CLASSES)
    counts.sums = read_arrays(checkpoint)["counts"]
    features, target, weight = batch_of(store, store.rows_of(images), "float64")
    expected = by_hand(in_float64(thin_model()).head(features), target, weight)
    assert_counts(counts, expected, 1e-5)


@pytest.mark.parametrize("loss", ["ce", "uoi", "iou", "uoi+ce", "soft_dice"])
def test_rows_of_a_batch_that_is_the_corpus(rng: np.random.Generator, loss: str) -> None:
    """Its own counts, held, give the gradient that the loss has by itself; the share is then 1."""
    z, target, weight = drawn(rng)
    counts = CountsKeeper("corpus", CLASSES, lambda: CorpusCounts(CLASSES).update(z, target, weight))
    counts.start_epoch()
    held, share = counts.present(z, target, weight)
    assert share == 1.0
    function = named(loss, min_mass=0.0)
    (value, gradient), (expected, wanted) = function(z, target, weight, counts=held), function(z, target, weight)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(gradient, wanted, rtol=0, atol=1e-12 * np.max(np.abs(wanted)))


@pytest.mark.parametrize("loss", ["ce", "uoi", "iou", "uoi+ce", "soft_dice"])
def test_shares_average_to_the_corpus_gradient(rng: np.random.Generator, loss: str) -> None:
    """Scaled rows are an unbiased estimate: weighted by the batches' weights, they average to the whole gradient."""
    z, target, weight = drawn(rng, 6)
    whole = CorpusCounts(CLASSES).update(z, target, weight)
    counts = CountsKeeper("corpus", CLASSES, lambda: whole)
    counts.start_epoch()
    function = named(loss, min_mass=0.0)
    parts = []
    for start in range(0, 6, 2):
        batch = tuple(array[start : start + 2] for array in (z, target, weight))
        held, share = counts.present(*batch)
        _, grad_z = function(*batch, counts=held)
        parts.append(share * grad_z * batch[2].sum() / weight.sum())
    _, wanted = function(z, target, weight)
    np.testing.assert_allclose(np.concatenate(parts), wanted, rtol=0, atol=1e-12 * np.max(np.abs(wanted)))


def test_a_training_by_corpus_equals_one_by_batch_where_the_batch_is_all(tmp_path: Path) -> None:
    store, images, models = toy_store(tmp_path), np.arange(4), []
    options = TrainingOptions(loss="uoi+ce", steps=5, rate=0.1, batch=8, min_mass=0.5)
    for counts in ("batch", "corpus"):
        models.append(thin_model(dropout=0.0))
        train(models[-1], store, images, dataclasses.replace(options, counts=counts), seed=0)
    for name, array in models[0].trainable.items():
        np.testing.assert_allclose(models[1].parameters[name], array, rtol=0, atol=1e-5 * np.max(np.abs(array)))
