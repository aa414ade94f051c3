"""The losses against torch's automatic differentiation of their definitions, in both precisions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given

from tests.losses.losses_operations import soft_batch
from tests.losses.losses_strategies import Batch, batches
from tests.operations import TOLERANCE, assert_close
from tinysegrank import losses

torch = pytest.importorskip("torch", reason="torch is not installed; run `pip install '.[torch]'`")


def soft_cross_entropy(z: Any, target: Any, weight: Any) -> Any:
    return (weight * torch.nn.functional.cross_entropy(z, target, reduction="none")).sum() / weight.sum()


def mean_of(terms: list[Any], z: Any, reduction: str) -> Any:
    """Their mean or sum; 0 where no class is counted."""
    total = sum(terms, 0 * z.sum())
    return total / max(len(terms), 1) if reduction == "mean" else total


def overlap(z: Any, target: Any, weight: Any, *, kind: str, reduction: str = "mean", min_mass: float = 0.5) -> Any:
    q = torch.softmax(z, dim=1)
    terms = []
    for k in range(z.shape[1]):
        if (weight * target[:, k]).sum() >= min_mass:
            intersection = (weight * q[:, k] * target[:, k]).sum()
            union = (weight * (q[:, k] + target[:, k] - q[:, k] * target[:, k])).sum()
            dice = 1 - 2 * intersection / (weight * (q[:, k] + target[:, k])).sum()
            terms.append({"iou": intersection / union, "uoi": union / intersection, "dice": dice}[kind])
    return mean_of(terms, z, reduction)


def lovasz(z: Any, target: Any, weight: Any, *, reduction: str = "mean", min_mass: float = 0.5) -> Any:
    """By the differences of the Jaccard loss along the sorted errors, in float64."""
    q, labels, w = torch.softmax(z.double(), dim=1), target.argmax(dim=1).flatten(), weight.double().flatten()
    terms = []
    for k in range(z.shape[1]):
        truth = (labels == k).double()
        if (w * truth).sum() >= min_mass:
            error, order = torch.sort((truth - q[:, k].flatten()).abs(), descending=True)
            intersection = (w * truth).sum() - torch.cumsum((w * truth)[order], 0)
            union = (w * truth).sum() + torch.cumsum((w * (1 - truth))[order], 0)
            loss = torch.where(union > 0, 1 - intersection / union, 0.0)
            terms.append(torch.dot(error, torch.diff(loss, prepend=loss.new_zeros(1))))
    return mean_of(terms, z, reduction).to(z.dtype)


TO_THE_LETTER: dict[str, Any] = {"reduction": "sum", "min_mass": 0.0}
PEERS: dict[str, tuple[losses.Loss, Any]] = {
    "soft_cross_entropy": (losses.soft_cross_entropy, soft_cross_entropy),
    "iou": (losses.iou, partial(overlap, kind="iou")),
    "uoi": (losses.uoi, partial(overlap, kind="uoi")),
    "iou, Eq. 47": (partial(losses.iou, **TO_THE_LETTER), partial(overlap, kind="iou", **TO_THE_LETTER)),
    "uoi, Eq. 60": (partial(losses.uoi, **TO_THE_LETTER), partial(overlap, kind="uoi", **TO_THE_LETTER)),
    "soft_dice": (losses.soft_dice, partial(overlap, kind="dice")),
    "soft_dice, summed": (partial(losses.soft_dice, **TO_THE_LETTER), partial(overlap, kind="dice", **TO_THE_LETTER)),
    "lovasz_softmax": (losses.lovasz_softmax, lovasz),
    "lovasz_softmax, summed": (partial(losses.lovasz_softmax, **TO_THE_LETTER), partial(lovasz, **TO_THE_LETTER)),
    "weighted": (
        losses.weighted([(0.7, losses.uoi), (-0.2, losses.iou), (0.3, losses.soft_cross_entropy)]),
        lambda *a: 0.7 * overlap(*a, kind="uoi") - 0.2 * overlap(*a, kind="iou") + 0.3 * soft_cross_entropy(*a),
    ),
}


def assert_agreement(name: str, batch: Sequence[np.ndarray], *, least: float = 0.0) -> None:
    """Value and gradient, to the tolerance of the dtype."""
    ours, theirs = PEERS[name]
    value, grad_z = ours(*batch)
    z, target, weight = (torch.tensor(a) for a in batch)
    expected = theirs(z.requires_grad_(), target, weight)
    expected.backward()
    tolerance = TOLERANCE[str(batch[0].dtype)]
    assert_close(value, expected, tolerance, least=least)
    assert_close(grad_z, z.grad, tolerance, least=least)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 4, 3, 2), (3, 21, 13, 13)], ids=str)
@pytest.mark.parametrize("name", PEERS)
def test_value_and_gradient_are_torchs(name: str, shape: Any, dtype: str, rng: np.random.Generator) -> None:
    assert_agreement(name, [a.astype(dtype) for a in soft_batch(rng, shape)])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PEERS if name not in ("iou, Eq. 47", "uoi, Eq. 60")])
@given(batch=batches(scales=(1.0, 3.0)))
def test_any_batch_is_as_in_torch(name: str, batch: Batch) -> None:
    """In both precisions; not all classes of UOI, as torch's has no limit where one is absent."""
    assume(batch.weight.any())
    assert_agreement(name, batch, least=0.1)


@pytest.mark.parametrize("name", ["iou", "uoi", "soft_dice"])
def test_absent_classes_are_left_out_as_by_definition(name: str, rng: np.random.Generator) -> None:
    ours, theirs = PEERS[name]
    batch = soft_batch(rng, (2, 6, 4, 3), absent=(1, 4))
    z, target, weight = (torch.tensor(a) for a in batch)
    theirs(z.requires_grad_(), target, weight).backward()
    assert_close(ours(*batch)[1], z.grad)
