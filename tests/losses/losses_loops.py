"""The losses written pixel by pixel from their definitions, in Python numbers: what the library is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np


def probabilities(z: np.ndarray) -> np.ndarray:
    """Eq. 20 at each cell."""
    q = np.zeros_like(z)
    for n, r, s in np.ndindex(z.shape[0], *z.shape[2:]):
        powers = [math.exp(v - max(z[n, :, r, s])) for v in z[n, :, r, s]]
        q[n, :, r, s] = [power / math.fsum(powers) for power in powers]
    return q


def sums(z: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expected intersection (Eq. 24) and union (Eq. 28), and target mass, of each class."""
    q = probabilities(z)
    intersection, union, mass = np.zeros((3, z.shape[1]))
    for n, k, r, s in np.ndindex(z.shape):
        v = 1.0 if weight is None else weight[n, r, s]
        intersection[k] += v * q[n, k, r, s] * target[n, k, r, s]
        union[k] += v * (q[n, k, r, s] + target[n, k, r, s] - q[n, k, r, s] * target[n, k, r, s])
        mass[k] += v * target[n, k, r, s]
    return intersection, union, mass


def soft_cross_entropy(z: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> float:
    total = cells = 0.0
    for n, r, s in np.ndindex(z.shape[0], *z.shape[2:]):
        v = 1.0 if weight is None else weight[n, r, s]
        scores = z[n, :, r, s]
        normaliser = max(scores) + math.log(math.fsum(math.exp(score - max(scores)) for score in scores))
        total += v * sum(target[n, k, r, s] * (normaliser - scores[k]) for k in range(len(scores)))
        cells += v
    return total / cells if cells else 0.0


def over_classes(
    term: Callable[[float, float], float],
    z: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    reduction: str = "mean",
    min_mass: float = 0.5,
) -> float:
    """A term of I and U, over the classes counted."""
    intersection, union, mass = sums(z, target, weight)
    terms = [term(i, u) for i, u, m in zip(intersection, union, mass, strict=True) if m >= min_mass]
    return sum(terms) / (max(len(terms), 1) if reduction == "mean" else 1)


iou = partial(over_classes, lambda i, u: i / u)
uoi = partial(over_classes, lambda i, u: u / i)
soft_dice = partial(over_classes, lambda i, u: 1 - 2 * i / (i + u))


def lovasz_softmax(
    z: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    reduction: str = "mean",
    min_mass: float = 0.5,
) -> float:
    """From the largest error down, each error times the rise of the Jaccard loss as its cell joins the wrong ones."""
    q, terms = probabilities(z), []
    places = list(np.ndindex(z.shape[0], *z.shape[2:]))
    of = {place: 1.0 if weight is None else float(weight[place]) for place in places}
    label = {(n, r, s): max(range(z.shape[1]), key=lambda k: target[n, k, r, s]) for n, r, s in places}
    for k in range(z.shape[1]):
        true = {place for place in places if label[place] == k}
        error = {(n, r, s): 1 - q[n, k, r, s] if label[n, r, s] == k else q[n, k, r, s] for n, r, s in places}
        if sum(of[place] for place in true) < min_mass:
            continue
        total, before, wrong = 0.0, 0.0, set()
        for place in sorted(places, key=lambda place: -error[place]):
            wrong.add(place)
            union = sum(of[other] for other in true | wrong)
            after = 1 - sum(of[other] for other in true - wrong) / union if union else 0.0
            total, before = total + error[place] * (after - before), after
        terms.append(total)
    return sum(terms) / (max(len(terms), 1) if reduction == "mean" else 1)
