"""The losses against torch's automatic differentiation of their definitions, in both precisions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from losses_operations import soft_batch
from operations import TOLERANCE, assert_close

from tinysegrank import losses

torch = pytest.importorskip("torch", reason="torch is not installed; run `pip install 'tinysegrank[torch]'`")


def soft_cross_entropy(z: Any, target: Any, weight: Any) -> Any:
    return (weight * torch.nn.functional.cross_entropy(z, target, reduction="none")).sum() / weight.sum()


def overlap(z: Any, target: Any, weight: Any, *, inverse: bool, reduction: str = "mean", min_mass: float = 0.5) -> Any:
    q = torch.softmax(z, dim=1)
    terms = []
    for k in range(z.shape[1]):
        if (weight * target[:, k]).sum() >= min_mass:
            intersection = (weight * q[:, k] * target[:, k]).sum()
            union = (weight * (q[:, k] + target[:, k] - q[:, k] * target[:, k])).sum()
            terms.append(union / intersection if inverse else intersection / union)
    return torch.stack(terms).mean() if reduction == "mean" else torch.stack(terms).sum()


TO_THE_LETTER: dict[str, Any] = {"reduction": "sum", "min_mass": 0.0}
PEERS: dict[str, tuple[losses.Loss, Any]] = {
    "soft_cross_entropy": (losses.soft_cross_entropy, soft_cross_entropy),
    "iou": (losses.iou, partial(overlap, inverse=False)),
    "uoi": (losses.uoi, partial(overlap, inverse=True)),
    "iou, Eq. 47": (partial(losses.iou, **TO_THE_LETTER), partial(overlap, inverse=False, **TO_THE_LETTER)),
    "uoi, Eq. 60": (partial(losses.uoi, **TO_THE_LETTER), partial(overlap, inverse=True, **TO_THE_LETTER)),
    "weighted": (
        losses.weighted([(0.7, losses.uoi), (-0.2, losses.iou), (0.3, losses.soft_cross_entropy)]),
        lambda *a: 0.7 * overlap(*a, inverse=True) - 0.2 * overlap(*a, inverse=False) + 0.3 * soft_cross_entropy(*a),
    ),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 4, 3, 2), (3, 21, 13, 13)], ids=str)
@pytest.mark.parametrize("name", PEERS)
def test_value_and_gradient_are_torchs(name: str, shape: Any, dtype: str, rng: np.random.Generator) -> None:
    ours, theirs = PEERS[name]
    batch = [a.astype(dtype) for a in soft_batch(rng, shape)]
    value, grad_z = ours(*batch)
    z, target, weight = (torch.tensor(a) for a in batch)
    expected = theirs(z.requires_grad_(), target, weight)
    expected.backward()
    assert_close(value, expected, TOLERANCE[dtype])
    assert_close(grad_z, z.grad, TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["iou", "uoi"])
def test_absent_classes_are_left_out_as_by_definition(name: str, rng: np.random.Generator) -> None:
    ours, theirs = PEERS[name]
    batch = soft_batch(rng, (2, 6, 4, 3), absent=(1, 4))
    z, target, weight = (torch.tensor(a) for a in batch)
    theirs(z.requires_grad_(), target, weight).backward()
    assert_close(ours(*batch)[1], z.grad)
