"""Dtypes and values that a loss takes: float16 as right as it can be, integers and negative weights refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.losses.losses_operations import LOSSES, every_loss, soft_batch
from tests.losses.losses_strategies import Batch, batches
from tests.operations import assert_close
from tinysegrank import losses
from tinysegrank.backend import Backend
from tinysegrank.errors import ShapeError

HALF, SINGLE, LARGEST = 1e-3, 1e-6, 65504.0


def in_float16(batch: list[np.ndarray] | Batch) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A batch in float16, and the same numbers in float64."""
    half = [array.astype(np.float16) for array in batch]
    return half, [array.astype(float) for array in half]


# float16 -------------------------------------------------------------------------------------------------------------


@every_loss
@given(batch=batches(scales=(0.0, 1.0, 10.0)))
def test_float16_is_float64_rounded(loss: losses.Loss, batch: Batch) -> None:
    half, wide = in_float16(batch)
    for found, exact in zip(loss(*half), loss(*wide), strict=True):
        assert found.dtype == np.float16
        assert_close(
            found,
            np.clip(exact, -LARGEST, LARGEST),
            2 * HALF,
            least=max(1e-4, SINGLE / HALF * np.abs(exact).max()),  # sums in float32 cancel beside entries up to 1e12
        )


@every_loss
def test_absent_classes_and_a_sure_network(loss: losses.Loss) -> None:
    """A guard of 1e-12 would be 0 in float16, and the ratio NaN."""
    z, target = np.zeros((1, 3, 2, 2)), np.zeros((1, 3, 2, 2))
    z[:, 0], target[:, 0] = 20, 1
    half, wide = in_float16([z, target])
    for found, exact in zip(loss(*half), loss(*wide), strict=True):
        assert_close(found, exact, HALF, least=1e-3)


@every_loss
@pytest.mark.parametrize("gap", [60.0, 6e4])
def test_a_class_missed_by_any_gap_stays_finite_in_float16(loss: losses.Loss, gap: float) -> None:
    z, target = np.zeros((1, 3, 4, 4), np.float16), np.zeros((1, 3, 4, 4), np.float16)
    z[:, 0], target[:, 0, :2], target[:, 1, 2:] = gap, 1, 1
    value, grad_z = loss(z, target)
    assert np.isfinite(value)
    assert np.isfinite(grad_z).all()


@every_loss
def test_sums_over_more_cells_than_float16_counts(loss: losses.Loss, rng: np.random.Generator) -> None:
    """It stalls at 2,048 and overflows at 65,520."""
    half, wide = in_float16(soft_batch(rng, (1, 2, 280, 280)))
    half[2][...], wide[2][...] = 1, 1
    value, grad_z = loss(*half)
    exact, exact_grad = loss(*wide)
    assert_close(value, exact, HALF)
    assert_close(grad_z, exact_grad, 4 * HALF, least=2**-12)  # of steps of 6e-8


def test_corpus_counts_of_float16(rng: np.random.Generator) -> None:
    half, wide = in_float16(soft_batch(rng, (1, 2, 280, 280)))
    counts, exact = losses.CorpusCounts(2).update(*half), losses.CorpusCounts(2).update(*wide)
    for field in ("intersection", "cardinality", "mass", "weight", "cross_entropy"):
        np.testing.assert_allclose(getattr(counts, field), getattr(exact, field), rtol=1e-5)
    assert all(sums.dtype == np.float32 for sums in losses.expected_counts(*half))
    for name in ("iou", "uoi", "soft_dice", "soft_cross_entropy"):
        for found, wanted in zip(LOSSES[name](*half, counts=counts), LOSSES[name](*wide, counts=exact), strict=True):
            assert found.dtype == np.float16
            assert_close(found, wanted, 4 * HALF, least=2**-12)


def test_a_weighted_sum_is_rounded_once() -> None:
    """Each of 40 terms of 2,000 would be cut off at 65,504, and so is their sum, but not their mean."""
    half = [np.zeros((1, 1, 1, 1), np.float16)] * 2

    def constant(z: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, *, counts: object = None):
        return np.full((), 2000, z.dtype), z + 1

    value, grad_z = losses.weighted([(1.0, constant)] * 40 + [(-1.0, constant)] * 39)(*half)
    assert (value, grad_z) == (2000, 1)
    assert value.dtype == grad_z.dtype == np.float16


def test_bounds_of_float16() -> None:
    uoi = np.full(21, 6e4, np.float16)
    assert losses.tight_iou_bound(uoi) == pytest.approx(21 / 6e4, rel=HALF)
    assert losses.iou_bound(uoi).dtype == np.float16
    with pytest.raises(ShapeError, match="iou_bound: uoi is int64"):
        losses.iou_bound(np.arange(1, 4))


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_integers_and_booleans_are_refused_by_name(
    place: int, dtype: str, backend: Backend, rng: np.random.Generator
) -> None:
    arrays = [backend.asarray(array, dtype="float32") for array in soft_batch(rng)]
    arrays[place] = backend.asarray(np.ones(tuple(arrays[place].shape)), dtype=dtype)
    name = ("z", "target", "weight")[place]
    for loss in ("iou", "uoi", "soft_dice", "soft_cross_entropy", "lovasz_softmax"):
        with pytest.raises(ShapeError, match=rf"^{loss}: {name} is \S*{dtype}; pass floating numbers$"):
            LOSSES[loss](*arrays)
    with pytest.raises(ShapeError, match=rf"^CorpusCounts: {name} is \S*{dtype}; pass floating numbers$"):
        losses.CorpusCounts(4).update(*arrays)


def test_the_array_of_another_dtype_is_named(rng: np.random.Generator) -> None:
    z, target, weight = soft_batch(rng)
    with pytest.raises(ShapeError, match="one dtype; z is float64, weight float32"):
        losses.uoi(z, target, weight.astype("f4"))
    with pytest.raises(ShapeError, match="one dtype; z is float16, target float64"):
        losses.uoi(z.astype("f2"), target, weight.astype("f2"))


@pytest.mark.parametrize("wrong", [-1e-3, np.nan])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
@every_loss
def test_weights_below_0_are_refused(loss: losses.Loss, dtype: str, wrong: float, rng: np.random.Generator) -> None:
    batch = [array.astype(dtype) for array in soft_batch(rng)]
    batch[2][1, 0, 1] = wrong
    with pytest.raises(ShapeError, match="weight has an entry that is not at least 0"):
        loss(*batch)
    with pytest.raises(ShapeError, match="CorpusCounts: weight has"):
        losses.CorpusCounts(4).update(*batch)


def test_lovasz_orders_and_so_takes_no_complex_numbers(rng: np.random.Generator) -> None:
    with pytest.raises(ShapeError, match="lovasz_softmax: z is complex128"):
        losses.lovasz_softmax(*[array.astype(complex) for array in soft_batch(rng)])
