"""Lovász-Softmax against the set function that it extends, torch's automatic differentiation and finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank import losses
from tinysegrank.testing import check_backward

K = 4


def problem(rng: np.random.Generator, cells: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, soft truth and weights of one row of cells; class 3 is never the truth's largest."""
    z = rng.normal(scale=2, size=(1, K, 1, cells))
    target = np.moveaxis(rng.dirichlet(np.full(K, 0.5), size=(1, 1, cells)), -1, 1)
    target[:, 3] = 0
    target /= target.sum(axis=1, keepdims=True)
    return z, target, rng.uniform(0.1, 1.5, size=(1, 1, cells))


def errors_of(z: np.ndarray, target: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The error of each cell for class k, and whether it is of the class."""
    q = np.exp(z[:, k]) / np.exp(z).sum(axis=1)
    truth = target.argmax(axis=1) == k
    return np.where(truth, 1 - q, q).ravel(), truth.ravel()


def jaccard_loss(wrong: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    """The set function: one less the Jaccard index where exactly the cells of `wrong` are labelled wrongly."""
    union = weight[truth | wrong].sum()
    return float(1 - weight[truth & ~wrong].sum() / union) if union else 0.0


def by_permutations(error: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    """The extension of a submodular function is the largest of its linear forms, one for each order of the cells."""
    best = -np.inf
    for order in itertools.permutations(range(error.size)):
        wrong, before, total = np.zeros(error.size, dtype=bool), 0.0, 0.0
        for cell in order:
            wrong[cell] = True
            after = jaccard_loss(wrong, truth, weight)
            total, before = total + error[cell] * (after - before), after
        best = max(best, total)
    return best


def by_levels(error: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    """The extension is the integral over t in 0..1 of the set function of the cells whose error is at least t."""
    levels = np.unique(np.concatenate(([0.0], error)))
    widths = np.diff(levels)
    return float(sum(d * jaccard_loss(error >= t, truth, weight) for d, t in zip(widths, levels[1:], strict=True)))


def test_equals_the_largest_of_all_linear_forms_of_the_set_function(rng: np.random.Generator) -> None:
    z, target, weight = problem(rng, cells=6)
    present = np.unique(target.argmax(axis=1))
    assert present.size > 1
    expected = [by_permutations(*errors_of(z, target, k), weight.ravel()) for k in present]
    value, _ = losses.lovasz_softmax(z, target, weight, min_mass=1e-3)
    assert value == pytest.approx(np.mean(expected), rel=1e-12)


@given(seed=st.integers(0, 2**32 - 1), cells=st.integers(1, 40), zeros=st.booleans())
def test_equals_the_integral_of_the_set_function_over_levels(seed: int, cells: int, zeros: bool) -> None:
    rng = np.random.default_rng(seed)
    z, target, weight = problem(rng, cells)
    if zeros:
        weight *= rng.integers(0, 2, size=weight.shape)
    expected = [by_levels(*errors_of(z, target, k), weight.ravel()) for k in range(K)]
    value, _ = losses.lovasz_softmax(z, target, weight, min_mass=0, reduction="sum")
    assert value == pytest.approx(sum(expected), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("options", [{}, {"reduction": "sum", "min_mass": 0}, {"min_mass": 3.0}])
def test_gradient_by_differences(rng: np.random.Generator, options: dict[str, object]) -> None:
    z, target, weight = (np.concatenate(images) for images in zip(problem(rng), problem(rng), strict=True))

    def forward(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return losses.lovasz_softmax(z, target, weight, **options)

    check_backward(forward, lambda g, gradient: g * gradient, [z], directions=5)


def test_hard_labels_give_one_less_the_mean_iou_of_the_classes_present(rng: np.random.Generator) -> None:
    truth, predicted = rng.integers(0, K, size=(2, 2, 3, 5))
    eye = np.eye(K)
    value, _ = losses.lovasz_softmax(1000 * np.moveaxis(eye[predicted], -1, 1), np.moveaxis(eye[truth], -1, 1))
    ious = [((truth == k) & (predicted == k)).sum() / ((truth == k) | (predicted == k)).sum() for k in np.unique(truth)]
    assert value == pytest.approx(1 - np.mean(ious))


def test_a_cell_of_weight_zero_is_no_cell_and_one_of_weight_two_is_two(rng: np.random.Generator) -> None:
    z, target, weight = problem(rng)
    weight[..., :4], weight[..., 4:8], weight[..., 8:] = 0, 1, 2
    value, gradient = losses.lovasz_softmax(z, target, weight)
    where = np.concatenate([np.arange(4, 8), np.arange(8, 12), np.arange(8, 12)])
    expected, split = losses.lovasz_softmax(z[..., where], target[..., where])
    assert value == pytest.approx(expected)
    assert not gradient[..., :4].any()
    np.testing.assert_allclose(gradient[..., 4:8], split[..., :4], atol=1e-15)
    np.testing.assert_allclose(gradient[..., 8:], split[..., 4:8] + split[..., 8:], atol=1e-15)


def test_soft_truth_counts_by_its_largest_class_and_the_first_of_equal_ones() -> None:
    z = np.random.default_rng(1).normal(size=(1, 3, 1, 3))
    soft = np.array([[0.4, 0.3, 0.3], [0.5, 0.5, 0.0], [0.1, 0.2, 0.7]]).T[None, :, None]
    hard = np.array([[1.0, 0, 0], [1, 0, 0], [0, 0, 1]]).T[None, :, None]
    for one, other in zip(losses.lovasz_softmax(z, soft), losses.lovasz_softmax(z, hard), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_absent_class_counts_only_on_request_as_its_largest_probability(rng: np.random.Generator) -> None:
    z, target, weight = problem(rng)
    present, _ = losses.lovasz_softmax(z, target, weight, reduction="sum", min_mass=1e-3)
    every, _ = losses.lovasz_softmax(z, target, weight, reduction="sum", min_mass=0)
    assert every - present == pytest.approx(errors_of(z, target, 3)[0].max())


def test_the_rises_survive_float32_over_many_cells(rng: np.random.Generator) -> None:
    z = rng.normal(size=(1, 2, 500, 500))
    target = np.moveaxis(np.eye(2)[rng.integers(0, 2, size=(1, 500, 500))], -1, 1)
    expected, exact = losses.lovasz_softmax(z, target)
    value, gradient = losses.lovasz_softmax(z.astype(np.float32), target.astype(np.float32))
    assert value == pytest.approx(expected, rel=1e-5)
    assert np.max(np.abs(gradient - exact)) <= 1e-4 * np.max(np.abs(exact))


def test_nothing_counted_is_zero_with_zero_gradient(rng: np.random.Generator) -> None:
    z, target, weight = problem(rng)
    for options in ({"weight": 0 * weight, "min_mass": 0}, {"min_mass": 1e6}):
        value, gradient = losses.lovasz_softmax(z, target, **options)
        assert value == 0 and not gradient.any()
