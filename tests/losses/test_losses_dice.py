"""Soft Dice against scikit-learn, torch's automatic differentiation, finite differences and the definition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tinysegrank import losses
from tinysegrank.errors import ShapeError
from tinysegrank.testing import check_backward

N, K, H, W = 2, 5, 3, 4


def problem(rng: np.random.Generator, n: int = N) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, soft truth and weights, some of them 0; class 4 is nowhere in the truth."""
    z = rng.normal(scale=2, size=(n, K, H, W))
    target = np.moveaxis(rng.dirichlet(np.full(K, 0.3), size=(n, H, W)), -1, 1)
    target[:, 4] = 0
    target /= target.sum(axis=1, keepdims=True)
    weight = rng.choice([0, 0.25, 1], size=(n, H, W))
    return z, target, weight


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.eye(K)[labels], -1, 1)


def test_hard_labels_give_one_less_the_macro_f1_score(rng: np.random.Generator) -> None:
    truth, predicted = rng.integers(0, K, size=(2, N, H, W))
    value, _ = losses.soft_dice(1000 * one_hot(predicted), one_hot(truth))
    present = np.unique(truth)
    assert value == pytest.approx(1 - f1_score(truth.ravel(), predicted.ravel(), labels=present, average="macro"))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("min_mass", [0.0, 0.5, 2.0])
def test_value_and_gradient_equal_automatic_differentiation(
    rng: np.random.Generator, reduction: str, min_mass: float
) -> None:
    torch = pytest.importorskip("torch")
    arrays = problem(rng)
    z, target, weight = (torch.tensor(a) for a in arrays)
    z.requires_grad_(True)
    q = torch.softmax(z, dim=1)
    terms = []
    for k in range(K):
        overlap, both = (weight * q[:, k] * target[:, k]).sum(), (weight * (q[:, k] + target[:, k])).sum()
        if (weight * target[:, k]).sum() >= min_mass:
            terms.append(1 - 2 * overlap / both)
    expected = torch.stack(terms).mean() if reduction == "mean" else torch.stack(terms).sum()
    expected.backward()
    value, gradient = losses.soft_dice(*arrays, reduction=reduction, min_mass=min_mass)
    assert value == pytest.approx(float(expected.detach()), rel=1e-12)
    np.testing.assert_allclose(gradient, z.grad.numpy(), rtol=1e-9, atol=1e-14)


def test_gradient_by_differences(rng: np.random.Generator) -> None:
    z, target, weight = problem(rng)
    check_backward(lambda z: losses.soft_dice(z, target, weight), lambda g, gradient: g * gradient, [z], directions=5)


def test_the_dice_of_a_class_follows_from_its_iou(rng: np.random.Generator) -> None:
    z, target, weight = problem(rng)
    target[:, 1:], target[:, 0] = 0, 1  # one class counts
    jaccard, _ = losses.iou(z, target, weight)
    assert losses.soft_dice(z, target, weight)[0] == pytest.approx(1 - 2 * jaccard / (1 + jaccard))


def test_counts_of_a_corpus_give_the_loss_and_gradient_of_one_large_batch(rng: np.random.Generator) -> None:
    batches = [problem(rng, n) for n in (1, 3, 2)]
    value, gradient = losses.soft_dice(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))
    counts = losses.CorpusCounts(K)
    for batch in batches:
        counts.update(*batch)
    results = [losses.soft_dice(*batch, counts=counts) for batch in batches]
    for part, _ in results:
        assert part == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(np.concatenate([g for _, g in results]), gradient, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e30])
def test_finite_on_any_finite_scores(rng: np.random.Generator, scale: float) -> None:
    z, target, weight = (a.astype(np.float32) for a in problem(rng))
    value, gradient = losses.soft_dice(z * np.float32(scale), target, weight, min_mass=0)
    assert 0 <= value <= 1 and np.all(np.isfinite(gradient))


def test_nothing_counted_is_zero_with_zero_gradient(rng: np.random.Generator) -> None:
    z, target, weight = problem(rng)
    for options in ({"weight": 0 * weight}, {"weight": weight, "min_mass": 1e6}):
        value, gradient = losses.soft_dice(z, target, **options)
        assert value == 0 and not gradient.any()
    value, gradient = losses.soft_dice(z[:0], target[:0])
    assert value == 0 and gradient.shape == (0, K, H, W)


def test_refuses_what_does_not_fit(rng: np.random.Generator) -> None:
    z, target, weight = problem(rng)
    for arrays in ((z, target[:, :-1], weight), (z, target, weight[0]), (z, target.astype(np.float32), weight)):
        with pytest.raises(ShapeError):
            losses.soft_dice(*arrays)
    with pytest.raises(ShapeError, match="reduction"):
        losses.soft_dice(z, target, reduction="average")
    with pytest.raises(ShapeError, match="min_mass"):
        losses.soft_dice(z, target, min_mass=-1)
