"""The losses as test cases: the result is the value, the context its gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.losses import losses_loops as loops
from tests.operations import Operation
from tinysegrank import losses

SHAPE = (2, 4, 3, 2)  # (N, K, H, W)


def soft_batch(
    rng: np.random.Generator, shape: tuple[int, ...] = SHAPE, *, absent: tuple[int, ...] = ()
) -> list[np.ndarray]:
    """Scores, true distributions without the absent classes, and weights of which about a third are 0."""
    N, K, H, W = shape
    target = rng.dirichlet(np.full(K, 0.4), (N, H, W)).transpose(0, 3, 1, 2) + 1e-3  # (N, K, H, W)
    target[:, list(absent)] = 0
    target /= target.sum(axis=1, keepdims=True)
    weight = rng.random((N, H, W)) * (rng.random((N, H, W)) > 1 / 3)
    weight.flat[0] = 1.0
    return [2 * rng.standard_normal(shape), target, weight]


def _backward(gradient: Any, grad_z: Any) -> tuple[Any, ...]:
    return gradient * grad_z, None, None


def _loss(
    name: str, loss: Callable[..., Any], by_loops: Callable[..., float], *, analytic: bool = True, **draw: Any
) -> Operation:
    return Operation(name, partial(soft_batch, **draw), loss, _backward, by_loops, analytic)


def _without_weight(name: str, loss: Callable[..., Any], by_loops: Callable[..., float]) -> Operation:
    return Operation(name, lambda rng: soft_batch(rng)[:2], loss, lambda g, grad_z: _backward(g, grad_z)[:2], by_loops)


TO_THE_LETTER: dict[str, Any] = {"reduction": "sum", "min_mass": 0.0}

LOSSES: dict[str, losses.Loss] = {
    "soft_cross_entropy": losses.soft_cross_entropy,
    "iou": losses.iou,
    "uoi": losses.uoi,
    "iou, Eq. 47": partial(losses.iou, **TO_THE_LETTER),
    "uoi, Eq. 60": partial(losses.uoi, **TO_THE_LETTER),
    "soft_dice": losses.soft_dice,
    "lovasz_softmax": losses.lovasz_softmax,
    "weighted": losses.weighted([(0.7, losses.uoi), (0.3, losses.soft_cross_entropy)]),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)

OPERATIONS = [
    _loss("soft_cross_entropy", losses.soft_cross_entropy, loops.soft_cross_entropy),
    _without_weight("soft_cross_entropy without weight", losses.soft_cross_entropy, loops.soft_cross_entropy),
    _loss("iou", losses.iou, loops.iou),
    _loss("iou with absent classes", losses.iou, loops.iou, absent=(0, 2)),
    _loss("iou, Eq. 47", partial(losses.iou, **TO_THE_LETTER), partial(loops.iou, **TO_THE_LETTER)),
    _without_weight("iou without weight", losses.iou, loops.iou),
    _loss("uoi", losses.uoi, loops.uoi),
    _loss("uoi with absent classes", losses.uoi, loops.uoi, absent=(1, 3)),
    _loss("uoi, Eq. 60", partial(losses.uoi, **TO_THE_LETTER), partial(loops.uoi, **TO_THE_LETTER)),
    _without_weight("uoi without weight", losses.uoi, loops.uoi),
    _loss("uoi on one cell", losses.uoi, loops.uoi, shape=(1, 2, 1, 1)),
    _loss("iou of one class", losses.iou, loops.iou, shape=(2, 1, 2, 2)),
    _loss("soft_dice", losses.soft_dice, loops.soft_dice),
    _loss("soft_dice with absent classes", losses.soft_dice, loops.soft_dice, absent=(0, 2)),
    _without_weight("soft_dice without weight", losses.soft_dice, loops.soft_dice),
    _loss("lovasz_softmax", losses.lovasz_softmax, loops.lovasz_softmax, analytic=False),
    _loss(
        "lovasz_softmax, all classes summed",
        partial(losses.lovasz_softmax, **TO_THE_LETTER),
        partial(loops.lovasz_softmax, **TO_THE_LETTER),
        analytic=False,
        absent=(1,),
    ),
    _loss(
        "weighted",
        losses.weighted([(0.7, losses.uoi), (-0.3, losses.iou), (0.3, losses.soft_cross_entropy)]),
        lambda z, t, v: 0.7 * loops.uoi(z, t, v) - 0.3 * loops.iou(z, t, v) + 0.3 * loops.soft_cross_entropy(z, t, v),
    ),
]
