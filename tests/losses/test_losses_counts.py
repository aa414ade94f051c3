"""CorpusCounts: batches against the counts of all give the one big batch's value and gradient, in any grouping."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.losses.losses_operations import soft_batch
from tests.operations import assert_close
from tinysegrank import losses, nn
from tinysegrank.backend import Backend, to_numpy
from tinysegrank.errors import ShapeError
from tinysegrank.testing import check_backward

K = 4
LOSSES: dict[str, losses.Loss] = {
    "soft_cross_entropy": losses.soft_cross_entropy,
    "iou": losses.iou,
    "iou, Eq. 47": partial(losses.iou, reduction="sum", min_mass=0.0),
    "uoi": losses.uoi,
    "uoi, Eq. 60": partial(losses.uoi, reduction="sum", min_mass=0.0),
    "soft_dice": losses.soft_dice,
    "weighted": losses.weighted([(0.7, losses.uoi), (0.3, losses.soft_cross_entropy), (-0.1, losses.iou)]),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
Batches = Sequence[Sequence[np.ndarray]]
FIELDS = ("intersection", "cardinality", "mass", "weight", "cross_entropy")


def some_batches(rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Different sizes, a class that only one has, and a batch that is all void."""
    made = [
        soft_batch(rng, (1, K, 3, 2), absent=(1,)),
        soft_batch(rng, (3, K, 3, 2), absent=(1, 2)),
        soft_batch(rng, (2, K, 3, 2)),
        soft_batch(rng, (1, K, 3, 2)),
    ]
    made[3][2][:] = 0
    return made


def counts_of(batches: Batches) -> losses.CorpusCounts:
    counts = losses.CorpusCounts(K)
    for batch in batches:
        assert counts.update(*batch) is counts
    return counts


def joined(batches: Batches) -> list[np.ndarray]:
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def assert_same(one: losses.CorpusCounts, other: losses.CorpusCounts) -> None:
    for field in FIELDS:
        np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-12)


@every_loss
def test_rows_of_the_corpus_gradient(loss: losses.Loss, rng: np.random.Generator) -> None:
    batches = some_batches(rng)
    counts = counts_of(batches)
    value, grad_z = loss(*joined(batches))
    parts = [loss(*batch, counts=counts) for batch in batches]
    for part, _ in parts:
        assert_close(part, value)
    assert_close(np.concatenate([rows for _, rows in parts]), grad_z)


@every_loss
def test_parameter_gradients_of_the_batches_add_up(loss: losses.Loss, rng: np.random.Generator) -> None:
    """Two passes over the corpus train on the corpus's loss: through a network, the gradients' sum is the whole's."""
    layers = {
        "conv": nn.Conv2d(rng.standard_normal((5, 2, 3, 3)), rng.standard_normal(5), padding=1),
        "relu": nn.ReLU(),
        "last": nn.Conv2d(rng.standard_normal((K, 5, 1, 1)), rng.standard_normal(K)),
    }
    net = nn.Sequential(layers)
    batches = some_batches(rng)
    images = [rng.standard_normal((target.shape[0], 2, 3, 2)) for _, target, _ in batches]
    counts = losses.CorpusCounts(K)
    for x, (_, target, weight) in zip(images, batches, strict=True):
        counts.update(net(x), target, weight)
    summed: dict[str, Any] = dict.fromkeys(net.parameters, 0.0)
    for x, (_, target, weight) in zip(images, batches, strict=True):
        z, context = net.forward(x)
        _, gradients = net.backward(loss(z, target, weight, counts=counts)[1], context)
        summed = {name: summed[name] + gradient for name, gradient in gradients.items()}

    _, target, weight = joined(batches)
    z, context = net.forward(np.concatenate(images))
    _, expected = net.backward(loss(z, target, weight)[1], context)
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        assert np.abs(summed[name] - gradient).max() <= 1e-12 * largest


@every_loss
def test_gradient_of_one_batch_among_others_by_differences(loss: losses.Loss, rng: np.random.Generator) -> None:
    """The value moves with this batch's scores, by way of the counts."""
    (z, target, weight), *others = some_batches(rng)
    check_backward(
        lambda z: loss(z, target, weight, counts=counts_of([(z, target, weight), *others])),
        lambda gradient, grad_z: gradient * grad_z,
        [z],
    )


@every_loss
def test_a_corpus_of_one_batch_is_the_batch(loss: losses.Loss, rng: np.random.Generator) -> None:
    batch = soft_batch(rng)
    alone, against_counts = loss(*batch), loss(*batch, counts=counts_of([batch]))
    assert_close(against_counts[0], alone[0])
    assert_close(against_counts[1], alone[1])


@every_loss
def test_an_all_void_corpus_gives_0(loss: losses.Loss, rng: np.random.Generator) -> None:
    z, target, weight = soft_batch(rng)
    value, grad_z = loss(z, target, 0 * weight, counts=counts_of([(z, target, 0 * weight)]))
    assert value == 0
    assert not grad_z.any()


# Grouping ------------------------------------------------------------------------------------------------------------


@given(st.permutations(range(4)), st.integers(0, 3), st.booleans())
def test_merging_in_any_grouping(order: list[int], split: int, nested: bool) -> None:
    batches = some_batches(np.random.default_rng(0))
    apart = [counts_of([batches[i]]) for i in order]
    left, right = apart[:split], apart[split:]
    if nested:
        merged = reduce(lambda a, b: a.merge(b), left, losses.CorpusCounts(K))
        merged = merged.merge(reduce(lambda a, b: a.merge(b), right, losses.CorpusCounts(K)))
    else:
        merged = reduce(lambda a, b: b.merge(a), apart)
    assert_same(merged, counts_of(batches))
    assert_same(merged, counts_of([joined(batches)]))


def test_merge_changes_and_returns_itself_and_leaves_the_other(rng: np.random.Generator) -> None:
    first, second = counts_of(some_batches(rng)[:2]), counts_of(some_batches(rng)[2:])
    before = [np.copy(getattr(second, field)) for field in FIELDS]
    total = [np.add(getattr(first, field), getattr(second, field)) for field in FIELDS]
    assert first.merge(second) is first
    for field, mine, others in zip(FIELDS, total, before, strict=True):
        np.testing.assert_array_equal(getattr(first, field), mine)
        np.testing.assert_array_equal(getattr(second, field), others)


def test_scaled_is_a_multiple_of_its_own(rng: np.random.Generator) -> None:
    counts = counts_of(some_batches(rng))
    half = counts.scaled(0.5)
    half.merge(half.scaled(1.0))
    assert_same(half, counts)
    batch = soft_batch(rng)
    for name in ("iou", "uoi", "soft_dice"):  # ratios do not see a factor
        assert_close(LOSSES[name](*batch, counts=counts.scaled(3.0))[0], LOSSES[name](*batch, counts=counts)[0])


# Backends and precision ----------------------------------------------------------------------------------------------


def test_every_backend_counts_the_same(backend: Backend, rng: np.random.Generator) -> None:
    if str(backend.device) == "meta":
        pytest.skip("counts are values on the host, and meta tensors have none")
    batches = [soft_batch(rng), soft_batch(rng, absent=(1,))]
    counts, expected = losses.CorpusCounts(K), counts_of(batches)
    made = [[backend.asarray(a, dtype="float32") for a in batch] for batch in batches]
    for batch in made:
        counts.update(*batch)
    for field in FIELDS:
        found = np.asarray(getattr(counts, field))
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, getattr(expected, field), rtol=1e-5)
    for part in counts.like(made[0][0]):
        assert part.dtype == made[0][0].dtype
        assert part.device == made[0][0].device
    for batch, host in zip(made, batches, strict=True):
        value, grad_z = losses.uoi(*batch, counts=counts)
        expected_value, expected_grad = losses.uoi(*host, counts=expected)
        assert grad_z.dtype == value.dtype == batch[0].dtype
        assert_close(value, expected_value, 2e-5)
        assert np.abs(to_numpy(grad_z) - expected_grad).max() <= 2e-5 * np.abs(expected_grad).max()


def test_many_float32_batches_lose_nothing(rng: np.random.Generator) -> None:
    """A float32 total of 2^24 cells takes no further single cell; float64 counts do."""
    z, target = np.zeros((1, 2, 1, 1), np.float32), np.zeros((1, 2, 1, 1), np.float32)
    target[:, 0] = 1
    counts = losses.CorpusCounts(2)
    counts.sums[4:6] = [2.0**24, 0.0]  # the mass
    for _ in range(3):
        counts.update(z, target)
    assert counts.mass[0] == 2**24 + 3


def test_classes_that_do_not_fit_are_refused(rng: np.random.Generator) -> None:
    z, target, weight = soft_batch(rng)
    with pytest.raises(ShapeError, match="z has 4 classes, the counts 5"):
        losses.CorpusCounts(5).update(z, target, weight)
    for loss in (losses.iou, losses.soft_cross_entropy):
        with pytest.raises(ShapeError, match="z has 4 classes, the counts 1"):
            loss(z, target, weight, counts=losses.CorpusCounts(1))
    with pytest.raises(ShapeError, match="5 classes do not merge with 4"):
        losses.CorpusCounts(4).merge(losses.CorpusCounts(5))
    with pytest.raises(ShapeError, match=r"weight \(N, H, W\)"):
        losses.CorpusCounts(4).update(z, target, weight[0])
