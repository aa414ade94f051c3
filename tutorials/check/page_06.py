"""Checks of the exercises of page 6, The gradients of IOU and UOI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import softmax

from check.compare import close, exercise, require, slopes


def _case(places: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((places, 4)), rng.dirichlet(np.ones(4), size=places)


@exercise
def exercise_6_1(gradient: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Check gradient(z, p) of the Dice loss with respect to scores (places, K)."""

    def loss(z: np.ndarray, p: np.ndarray) -> np.ndarray:
        q = softmax(z, axis=1)
        return np.sum(1 - 2 * (q * p).sum(axis=0) / (q + p).sum(axis=0), keepdims=True)

    z, p = _case(6, 1)
    close(gradient(z, p), slopes(lambda z: loss(z, p), z, np.ones(1)), "the gradient", rtol=1e-5, atol=1e-8)


@exercise
def exercise_6_2(slope: Callable[[np.ndarray], Any], raises: bool) -> None:
    """Check slope(q), UOI's A of an absent class with probabilities q (N,) in softened truth, and what descent does.

    raises: whether descent raises the class's probability.
    """
    q = np.random.default_rng(1).uniform(0.01, 0.5, 20)
    for softened in (0.1 / 4, 1e-4 / 4):  # epsilon / K
        intersection, cardinality = np.sum(softened * q), np.sum(softened + q)
        right = (intersection - softened * cardinality) / intersection**2
        close(np.broadcast_to(slope(q), q.shape), np.full(q.shape, right), "A", rtol=1e-4)
    require(bool(raises) == (right < 0), "descent moves against the sign of A")


@exercise
def exercise_6_3(message: Callable[..., Any], gradient: Callable[..., np.ndarray]) -> None:
    """Check what two machines send: message(z, p), and the gain's gradient of one's half, gradient(z, p, both).

    message | arrays or numbers of a size that does not grow with the number of places
    both    | a list of both messages
    """

    def gain(z: np.ndarray, p: np.ndarray) -> np.ndarray:
        q = softmax(z, axis=1)
        intersection = (q * p).sum(axis=0)
        return np.sum(intersection / ((q + p).sum(axis=0) - intersection), keepdims=True)

    def size(sent: Any) -> int:
        return sum(size(part) for part in sent) if isinstance(sent, tuple | list) else np.size(sent)

    (z, p), (z_other, p_other) = _case(5, 1), _case(7, 2)
    both = [message(z, p), message(z_other, p_other)]
    require(size(both[0]) == size(both[1]) <= 4 * z.shape[1], "a message should hold a few numbers for each class")
    whole = slopes(
        lambda z: gain(np.concatenate([z, z_other]), np.concatenate([p, p_other])), z, np.ones(1)
    )  # fmt: skip
    close(gradient(z, p, both), whole, "the gradient of the first half", rtol=1e-5, atol=1e-8)
