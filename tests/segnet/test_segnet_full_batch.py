"""The two-pass gradient against one batch that holds all rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.segnet.segnet_toys import CHANNELS, CLASSES, batch_of, in_float64, thin_model, toy_store
from tinysegrank.backend import Array
from tinysegrank.errors import TrainingError
from tinysegrank.losses import TABLE, CorpusCounts, Loss, named, soft_dice
from tinysegrank.segnet import full_batch_gradients
from tinysegrank.segnet.batches import Batch

SUMMED = [name for name in TABLE if name != "lovasz_softmax"]  # losses of sums over cells
BATCH = 6
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}  # of the largest entry of all gradients


def generator(number: int) -> np.random.Generator:
    return np.random.default_rng([3, number])


class Joined:
    """A generator whose rows are those of one generator a batch, so that one batch of all rows drops the same units."""

    def __init__(self, rows: int) -> None:
        self.parts = [(min(BATCH, rows - start), generator(start // BATCH)) for start in range(0, rows, BATCH)]

    def random(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        assert shape[0] == sum(rows for rows, _ in self.parts)
        return np.concatenate([each.random((rows, *shape[1:]), dtype=dtype) for rows, each in self.parts])


@pytest.fixture
def whole(tmp_path: Path) -> list[np.ndarray]:
    return batch_of(toy_store(tmp_path), dtype="float64")  # 20 rows: three batches of six and one of two


def in_batches(whole: list[Array]) -> Iterator[Batch]:
    for start in range(0, len(whole[0]), BATCH):
        features, target, weight = (array[start : start + BATCH] for array in whole)
        yield features, target, weight


@pytest.mark.parametrize("name", SUMMED)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("dropped", [True, False])
def test_equals_one_big_batch(whole: list[np.ndarray], name: str, dtype: str, dropped: bool) -> None:
    model, loss = in_float64(thin_model()), named(name, min_mass=2.0)
    whole = [array.astype(dtype) for array in whole]
    model.assign({name: array.astype(dtype) for name, array in model.parameters.items()})
    rng = Joined(len(whole[0])) if dropped else None
    expected, grad_z = loss(model.forward_features(whole[0], rng=rng), *whole[1:])
    wanted = model.backward(grad_z)

    draw = generator if dropped else lambda number: None
    value, gradients = full_batch_gradients(model, loss, partial(in_batches, whole), generator=draw)
    np.testing.assert_allclose(value, expected, rtol=TOLERANCE[dtype])
    assert gradients.keys() == wanted.keys()
    largest = max(np.max(np.abs(array)) for array in wanted.values())
    for layer, array in wanted.items():
        assert gradients[layer].dtype == dtype
        np.testing.assert_allclose(gradients[layer], array, rtol=0, atol=TOLERANCE[dtype] * largest, err_msg=layer)


def test_gradients_of_minibatches_do_not_add_up(whole: list[np.ndarray]) -> None:
    """The reason for two passes: UOI is no mean over batches."""
    model, loss = in_float64(thin_model()), named("uoi", min_mass=0.0)
    _, exact = full_batch_gradients(model, loss, partial(in_batches, whole), generator=lambda number: None)
    parts = []
    for features, target, weight in in_batches(whole):
        _, grad_z = loss(model.forward_features(features), target, weight)
        parts.append(model.backward(grad_z)["conv6.weight"])
    mean, exact_one = np.mean(parts, axis=0), exact["conv6.weight"]
    assert np.max(np.abs(mean - exact_one)) > 0.01 * np.max(np.abs(exact_one))


def test_a_class_counts_by_its_mass_in_the_corpus(whole: list[np.ndarray]) -> None:
    """min_mass may be more than any one batch has."""
    model, (features, target, weight) = in_float64(thin_model()), whole
    mass = np.sum(target * weight[:, None], axis=(0, 2, 3))
    loss = named("uoi", min_mass=0.9 * mass.min())
    assert all(np.all(np.sum(t * w[:, None], axis=(0, 2, 3)) < 0.9 * mass.min()) for _, t, w in in_batches(whole))
    value, _ = full_batch_gradients(model, loss, partial(in_batches, whole), generator=lambda number: None)
    counts = CorpusCounts(CLASSES).update(model.head(features), target, weight)
    intersection = counts.intersection
    assert float(value) == pytest.approx(np.mean((counts.cardinality - intersection) / intersection))


def test_the_gradient_by_finite_differences(whole: list[np.ndarray]) -> None:
    model, loss = in_float64(thin_model()), named("uoi+ce", min_mass=0.0)

    def value() -> float:
        out, _ = full_batch_gradients(model, loss, partial(in_batches, whole), generator=generator)
        return float(out)

    _, gradients = full_batch_gradients(model, loss, partial(in_batches, whole), generator=generator)
    rng = np.random.default_rng(0)
    for name, gradient in gradients.items():
        at, direction = model.parameters[name], rng.standard_normal(gradient.shape)
        values = []
        for sign in (1, -1):
            model.assign({name: at + sign * 1e-7 * direction})
            values.append(value())
        model.assign({name: at})
        assert (values[0] - values[1]) / 2e-7 == pytest.approx(np.sum(gradient * direction), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("loss", [soft_dice], ids=["dice"])
def test_other_losses_of_counts(whole: list[np.ndarray], loss: Loss) -> None:
    model = in_float64(thin_model())
    expected, grad_z = loss(model.forward_features(whole[0]), *whole[1:])
    wanted = model.backward(grad_z)["conv7.weight"]
    value, gradients = full_batch_gradients(model, loss, partial(in_batches, whole), generator=lambda number: None)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradients["conv7.weight"], wanted, rtol=0, atol=1e-12 * np.max(np.abs(wanted)))


def test_the_model_is_left_as_it_is(whole: list[np.ndarray]) -> None:
    model = in_float64(thin_model())
    before = dict(model.parameters)
    full_batch_gradients(model, named("ce"), partial(in_batches, whole), generator=generator)
    assert all(model.parameters[name] is array for name, array in before.items())


def test_all_void(rng: np.random.Generator) -> None:
    features = rng.random((4, CHANNELS, 13, 13), np.float32)
    target, weight = np.zeros((4, CLASSES, 13, 13), np.float32), np.zeros((4, 13, 13), np.float32)
    for name in SUMMED:
        batches = partial(in_batches, [features, target, weight])
        value, gradients = full_batch_gradients(thin_model(), named(name), batches, generator=generator)
        assert float(value) == 0.0
        assert not any(np.any(gradient) for gradient in gradients.values())


def test_no_batches() -> None:
    with pytest.raises(TrainingError, match="no batches"):
        full_batch_gradients(thin_model(), named("ce"), list, generator=generator)
