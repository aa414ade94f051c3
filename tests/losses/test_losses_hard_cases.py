"""Absent, barely present and wholly missed classes, soft truth, void, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tests.losses.losses_operations import LOSSES, TO_THE_LETTER, every_loss, soft_batch
from tests.operations import assert_close
from tinysegrank import losses
from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.losses.expected import class_factors, reciprocal
from tinysegrank.testing import check_backward

# Absent, barely present and missed classes -----------------------------------------------------------


def test_an_absent_class_is_pressed_down_but_has_no_term(rng: np.random.Generator) -> None:
    """A false positive of it is a false negative of the class that is there."""
    labels = rng.permutation(np.repeat([0, 1, 3], 8)).reshape(2, 3, 4)
    hard = np.moveaxis(np.eye(4)[labels], -1, 1)
    for loss in (losses.uoi, losses.weighted([(-1.0, losses.iou)]), losses.soft_cross_entropy):
        assert (loss(3 * hard, hard)[1][:, 2] > 0).all()
    z, target, weight = soft_batch(rng, absent=(2,))
    with_absent, _ = losses.iou(z, target, weight, **TO_THE_LETTER)
    without, _ = losses.iou(z, target, weight, reduction="sum")
    assert float(with_absent) == pytest.approx(float(without))  # its intersection is 0, and so are its gain and slope
    np.testing.assert_array_equal(
        losses.iou(z, target, weight, **TO_THE_LETTER)[1], losses.iou(z, target, weight, reduction="sum")[1]
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gap", [60.0, 100.0, 400.0, 1e4])
def test_a_present_class_missed_by_any_gap_stays_finite(dtype: str, gap: float) -> None:
    """Undamped, float32 gives NaN from a gap of 60 and float64 from 400."""
    z = np.zeros((1, 3, 4, 4), dtype)
    z[:, 0] = gap
    target = np.zeros_like(z)
    target[:, 0, :2], target[:, 1, 2:] = 1, 1
    for loss in LOSSES.values():
        value, grad_z = loss(z, target)
        assert np.isfinite(value)
        assert np.isfinite(grad_z).all()
    value, _ = losses.uoi(z, target)
    assert value > 1e11  # the class is lost, and the value says so


@pytest.mark.parametrize("mass", [1.0, 0.5, 1e-2, 1e-4, 1e-12, 1e-30])
def test_a_barely_present_class_counts_from_min_mass_on(mass: float, rng: np.random.Generator) -> None:
    """Its gradient grows as 1 / mass until the divisor is damped; min_mass leaves it out before."""
    z, target = rng.standard_normal((1, 3, 4, 4)), np.zeros((1, 3, 4, 4))
    target[:, 0], target[:, 2] = 1.0, 0.0
    target[0, :2, 0, 0] = 1 - mass, mass
    counted, grad_z = losses.uoi(z, target, reduction="sum", min_mass=1e-40)
    alone, grad_alone = losses.uoi(z, target, reduction="sum", min_mass=2.0)
    assert np.isfinite(grad_z).all()
    assert np.isfinite(counted)
    assert counted > alone
    if 1e-4 <= mass < 1:
        halved = target.copy()
        halved[0, :2, 0, 0] = 1 - mass / 2, mass / 2
        _, steeper = losses.uoi(z, halved, reduction="sum", min_mass=1e-40)
        assert np.abs(steeper).max() == pytest.approx(2 * np.abs(grad_z).max(), rel=0.05 + mass)
    by_default, grad_default = losses.uoi(z, target, reduction="sum")
    np.testing.assert_array_equal(by_default, counted if mass >= 0.5 else alone)
    np.testing.assert_array_equal(grad_default, grad_z if mass >= 0.5 else grad_alone)


def test_below_the_smallest_divisor_the_gradient_is_still_that_of_the_value() -> None:
    """The reciprocal goes on along its tangent, so nothing jumps and nothing is off."""
    z, target = np.zeros((1, 2, 2, 1)), np.zeros((1, 2, 2, 1))
    target[0, 0, 0], target[0, 1, 1] = 1, 1
    z[0, 0] = 31.0  # class 1 is missed by e^-31, 3e-14
    check_backward(lambda z: losses.uoi(z, target), lambda g, grad_z: g * grad_z, [z])


@given(st.floats(0, 1e6), st.floats(1e-12, 1.0))
def test_the_reciprocal_is_continued_by_its_tangent(x: float, smallest: float) -> None:
    value, slope = reciprocal(np.asarray(x), smallest=smallest)
    if x >= smallest:
        assert (value, slope) == (pytest.approx(1 / x), pytest.approx(-1 / x**2))
    else:
        assert value == pytest.approx(1 / smallest - (x - smallest) / smallest**2)
        assert slope == pytest.approx(-1 / smallest**2)
    assert slope < 0 < value


# Soft truth, void ----------------------------------------------------------------------------------------------------


def test_the_soft_truth_itself_is_not_the_best_prediction(rng: np.random.Generator) -> None:
    """I <= U term by term, with equality for hard p = q only; predicting the largest class does better."""
    target = rng.dirichlet(np.full(5, 0.5), (2, 6, 6)).transpose(0, 3, 1, 2)
    hard = np.moveaxis(np.eye(5)[target.argmax(axis=1)], -1, 1)
    for loss, sign in ((losses.iou, 1), (losses.uoi, -1)):
        exact, _ = loss(np.log(target), target, **TO_THE_LETTER)
        largest, _ = loss(30 * hard, target, **TO_THE_LETTER)
        perfect, _ = loss(100 * hard, hard, **TO_THE_LETTER)
        assert sign * float(exact) < sign * float(largest) < sign * 5
        assert float(perfect) == pytest.approx(5)
    assert float(losses.soft_cross_entropy(100 * hard, hard)[0]) == pytest.approx(0, abs=1e-12)


def test_dice_of_hard_labels_is_one_minus_the_macro_f1_score(rng: np.random.Generator) -> None:
    truth, predicted = rng.integers(0, 5, size=(2, 2, 3, 4))
    z, target = (np.moveaxis(np.eye(5)[labels], -1, 1) for labels in (predicted, truth))
    value, _ = losses.soft_dice(1000 * z, target)
    expected = f1_score(truth.ravel(), predicted.ravel(), labels=np.unique(truth), average="macro")
    assert value == pytest.approx(1 - expected)


def test_the_dice_of_a_class_follows_from_its_iou(rng: np.random.Generator) -> None:
    z, target, weight = soft_batch(rng)
    target[:, 1:], target[:, 0] = 0, 1  # one class counts
    jaccard, _ = losses.iou(z, target, weight)
    assert losses.soft_dice(z, target, weight)[0] == pytest.approx(1 - 2 * jaccard / (1 + jaccard))


@every_loss
def test_a_weight_is_a_number_of_cells(loss: Callable[..., Any], rng: np.random.Generator) -> None:
    """A cell of weight 2 is two cells, and its gradient theirs together."""
    z, target, _ = soft_batch(rng, (1, 3, 2, 2))
    weight = np.ones((1, 2, 2))
    weight[0, 1, 1] = 2.0
    flat = [np.ascontiguousarray(np.concatenate([a.reshape(1, 3, 4, 1), a[:, :, 1:, 1:]], axis=2)) for a in (z, target)]
    value, grad_z = loss(z, target, weight)
    expected, flat_grad = loss(*flat)
    assert float(value) == pytest.approx(float(expected))
    together = flat_grad[:, :, :4].reshape(z.shape).copy()
    together[:, :, 1, 1] += flat_grad[:, :, 4, 0]
    assert_close(grad_z, together)


@every_loss
def test_no_weight_is_weight_1(loss: Callable[..., Any], rng: np.random.Generator) -> None:
    z, target, weight = soft_batch(rng)
    without, with_ones = loss(z, target), loss(z, target, np.ones_like(weight))
    np.testing.assert_array_equal(without[0], with_ones[0])
    np.testing.assert_array_equal(without[1], with_ones[1])


# Options and bad input -----------------------------------------------------------------------------------------------


def test_means_are_over_the_classes_counted() -> None:
    mass = np.array([0.0, 0.4, 0.5, 3.0])
    for reduction, min_mass, expected in [
        ("mean", 0.5, [0, 0, 1 / 2, 1 / 2]),
        ("sum", 0.5, [0, 0, 1, 1]),
        ("mean", 0.0, [1 / 4] * 4),
        ("mean", 9.0, [0.0] * 4),
    ]:
        np.testing.assert_array_equal(class_factors(mass, min_mass=min_mass, reduction=reduction), expected)


@pytest.mark.parametrize("loss", [losses.iou, losses.uoi, losses.soft_dice, losses.lovasz_softmax])
def test_options_out_of_range_are_refused(loss: Callable[..., Any], rng: np.random.Generator) -> None:
    with pytest.raises(ShapeError, match='reduction="none"'):
        loss(*soft_batch(rng), reduction="none")
    for min_mass in (-0.5, float("nan")):
        with pytest.raises(ShapeError, match=f"min_mass={min_mass}"):
            loss(*soft_batch(rng), min_mass=min_mass)


@every_loss
def test_arrays_that_do_not_fit_are_refused(loss: Callable[..., Any], rng: np.random.Generator) -> None:
    z, target, weight = soft_batch(rng)  # (2, 4, 3, 2)
    for arrays, message in [
        ((z[0], target[0], weight[0]), r"\(4, 3, 2\) and \(4, 3, 2\)"),
        ((z, target[:, :3], weight), r"not \(2, 4, 3, 2\) and \(2, 3, 3, 2\)"),
        ((z, target, weight[:, None]), r"weight \(N, H, W\) = \(2, 3, 2\), not \(2, 1, 3, 2\)"),
        ((z, target, weight[:1]), r"not \(1, 3, 2\)"),
        ((z.astype("f4"), target, weight), "one dtype; z is float32"),
        ((z, target, weight.astype("f4")), "one dtype"),
    ]:
        with pytest.raises(ShapeError, match=message):
            loss(*arrays)


def test_a_weighted_sum_adds_values_and_gradients(rng: np.random.Generator) -> None:
    batch = soft_batch(rng)
    value, grad_z = losses.weighted([(0.7, losses.uoi), (-2.0, losses.iou)])(*batch)
    assert value == 0.7 * losses.uoi(*batch)[0] - 2 * losses.iou(*batch)[0]
    np.testing.assert_array_equal(grad_z, 0.7 * losses.uoi(*batch)[1] - 2 * losses.iou(*batch)[1])
    with pytest.raises(ConfigError, match="at least one"):
        losses.weighted([])
