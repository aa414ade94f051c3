"""Soft Dice against scikit-learn, torch's automatic differentiation and IOU."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tinysegrank import losses

N, K, H, W = 2, 5, 3, 4


def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, soft truth and weights, some of them 0; class 4 is nowhere in the truth."""
    z = rng.normal(scale=2, size=(N, K, H, W))
    target = np.moveaxis(rng.dirichlet(np.full(K, 0.3), size=(N, H, W)), -1, 1)
    target[:, 4] = 0
    target /= target.sum(axis=1, keepdims=True)
    weight = rng.choice([0, 0.25, 1], size=(N, H, W))
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


def test_the_dice_of_a_class_follows_from_its_iou(rng: np.random.Generator) -> None:
    z, target, weight = problem(rng)
    target[:, 1:], target[:, 0] = 0, 1  # one class counts
    jaccard, _ = losses.iou(z, target, weight)
    assert losses.soft_dice(z, target, weight)[0] == pytest.approx(1 - 2 * jaccard / (1 + jaccard))
