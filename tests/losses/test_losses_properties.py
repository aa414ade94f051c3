"""What must hold of every loss on any batch: finite, 0 on void, indifferent to order, in range, right in slope."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from tests.losses.losses_operations import LOSSES, every_loss
from tests.losses.losses_strategies import Batch, batches
from tests.operations import assert_close
from tinysegrank import losses
from tinysegrank.testing import check_backward


@every_loss
@given(batch=batches())
def test_value_and_gradient_are_finite_and_as_the_scores(loss: losses.Loss, batch: Batch) -> None:
    value, grad_z = loss(*batch)
    assert np.isfinite(value)
    assert np.isfinite(grad_z).all()
    assert value.shape == ()
    assert grad_z.shape == batch.z.shape
    assert value.dtype == grad_z.dtype == batch.z.dtype


@every_loss
@given(batch=batches())
def test_all_void_is_exactly_0(loss: losses.Loss, batch: Batch) -> None:
    value, grad_z = loss(batch.z, batch.target, np.zeros_like(batch.weight))
    assert value == 0
    assert not grad_z.any()


@every_loss
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_void_cells_do_not_matter(loss: losses.Loss, data: st.DataObject, seed: int) -> None:
    """Exactly; but Lovász-Softmax sums in the order of the errors, and at a tie its gradient is any of several."""
    ranks = loss is losses.lovasz_softmax
    batch = data.draw(batches(scales=(1.0, 3.0)) if ranks else batches())
    value, grad_z = loss(*batch)
    void = np.broadcast_to((batch.weight == 0)[:, None], batch.z.shape)
    assert not grad_z[void].any()
    rng = np.random.default_rng(seed)
    other = rng.permutation(np.eye(batch.z.shape[1], dtype=batch.z.dtype))[0][:, None, None]
    scores = np.where(void, rng.standard_normal(batch.z.shape).astype(batch.z.dtype), batch.z)
    changed, changed_grad = loss(scores, np.where(void, other, batch.target), batch.weight)
    assert_close(changed, value, 1e-5 if ranks else 0.0)
    assert_close(changed_grad, grad_z, 1e-5 if ranks else 0.0)


@every_loss
@given(batch=batches(scales=(0.0, 1.0, 3.0)))
def test_gradients_of_a_cell_sum_to_0(loss: losses.Loss, batch: Batch) -> None:
    """Softmax does not see a constant added to the scores of a cell. No term of a gradient is above 1 + value."""
    value, grad_z = loss(*batch)
    assert np.abs(grad_z.sum(axis=1)).max() <= 100 * np.finfo(grad_z.dtype).eps * (1 + abs(value))


@every_loss
@given(batch=batches(scales=(1.0, 3.0)), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_cells_does_not_matter(loss: losses.Loss, batch: Batch, seed: int) -> None:
    """A corpus-level loss: cells may change places, between images too."""
    N, K, H, W = batch.z.shape
    order = np.random.default_rng(seed).permutation(N * H * W)

    def shuffled(a: np.ndarray) -> np.ndarray:
        return a.swapaxes(0, 1).reshape(K, -1)[:, order].reshape(K, N, H, W).swapaxes(0, 1)

    batch = Batch(*(a.astype(np.float64) for a in batch))
    value, grad_z = loss(*batch)
    weight = batch.weight.reshape(-1)[order].reshape(N, H, W)
    other, other_grad = loss(shuffled(batch.z), shuffled(batch.target), weight)
    assert float(other) == pytest.approx(float(value), rel=1e-10)
    assert_close(other_grad, shuffled(grad_z), 1e-9)


@pytest.mark.parametrize("name", ["soft_cross_entropy", "iou", "uoi", "soft_dice", "weighted"])
@given(batch=batches(scales=(1.0, 3.0), void=0.1))
def test_gradients_by_finite_differences(name: str, batch: Batch) -> None:
    """With min_mass: the terms of a class of mass 1e-9 would be so large that their difference is mere rounding."""
    check_backward(
        lambda z: LOSSES[name](z, *(a.astype(np.float64) for a in batch[1:])),
        lambda gradient, grad_z: gradient * grad_z,
        [batch.z],
        tolerance=1e-5,
    )


@given(batches())
def test_ranges(batch: Batch) -> None:
    """Mean IOU lies in 0..1 and mean UOI is at least 1; by the harmonic mean, mean IOU is at least 1 / mean UOI.

    Dice, one less 2 J / (1 + J) of the overlap J, lies between half of 1 - J and all of it, in each class and so in the
    mean.
    """
    gain, loss, entropy = (float(f(*batch)[0]) for f in (losses.iou, losses.uoi, losses.soft_cross_entropy))
    assert 0 <= gain <= 1 + 1e-6
    assert entropy >= 0
    assert 0 <= float(losses.lovasz_softmax(*batch)[0]) <= 1 + 1e-5
    mass = np.sum(batch.target * batch.weight[:, None], axis=(0, 2, 3))
    if np.any(mass >= 0.5):
        assert loss >= 1 - 1e-6
        assert gain * loss >= 1 - 1e-5 or loss > 1e11  # beyond, the divisor is continued below 1e-12
        assert (1 - gain) / 2 - 1e-6 <= float(losses.soft_dice(*batch)[0]) <= 1 - gain + 1e-6
    else:
        assert gain == loss == 0


@given(batches(scales=(1.0, 30.0)))
def test_cross_entropy_is_divergence_plus_entropy(batch: Batch) -> None:
    """SciPy's Kullback-Leibler terms, where 0 log 0 is 0."""
    z, target, weight = (a.astype(np.float64) for a in batch)
    target = np.clip(target, 0, None)
    terms = special.rel_entr(target, special.softmax(z, axis=1)) + special.entr(target)
    expected = np.sum(weight[:, None] * terms) / max(weight.sum(), 1e-300)
    assert float(losses.soft_cross_entropy(z, target, weight)[0]) == pytest.approx(expected, rel=1e-9, abs=1e-12)
