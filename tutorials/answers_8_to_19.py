"""The same for the exercises of pages 8 to 19."""

from __future__ import annotations

from typing import Any

import numpy as np
from answers_0_to_7 import Answers
from array_api_compat import array_namespace
from scipy.linalg import logm

rng = np.random.default_rng(0)
targets = rng.dirichlet(np.full(5, 0.2), (3, 13, 13)).transpose(0, 3, 1, 2)
weights = rng.random((3, 13, 13))
shares = (targets * weights[:, None]).sum(axis=(0, 2, 3)) / weights.sum()
entropies = -(targets * np.log(targets)).sum(axis=1)
least, constant = (entropies * weights).sum() / weights.sum(), -(shares * np.log(shares)).sum()
norms = {"uoi": [20.0, 50, 90], "ce": [0.6, 0.7, 0.8]}
bits = {"pooling": True, "scatter_windows": True, "conv2d": False}


def masked_mean(x: Any, mask: Any, *, least: int = 1) -> Any:
    xp = array_namespace(x, mask)
    weight = xp.astype(mask, x.dtype)
    count = xp.sum(weight, axis=(1, 2))
    return xp.sum(weight * x, axis=(1, 2)) / xp.maximum(count, least * xp.ones_like(count))


running = np.cumsum([np.float32(1e6)] + [np.float32(1 / 3)] * 95, dtype=np.float32)
lost = float(running[44] - running[39]) - 5 / 3


def mmr(scores: np.ndarray, overlaps: np.ndarray, *, relevance: float = 0.0, first: int | None = None) -> list[int]:
    taken = [int(scores.argmax()) if first is None else first]
    while len(taken) < len(scores):
        worth = relevance * scores - (1 - relevance) * overlaps[taken].max(axis=0)
        worth[taken] = -np.inf
        taken.append(int(worth.argmax()))
    return taken


def by_score(scores: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, kind="stable")


def log_distance(G: np.ndarray, H: np.ndarray) -> float:
    return float(np.linalg.norm(logm(G) - logm(H)))


def changed(costs: np.ndarray, lam: float) -> np.ndarray:
    return np.diff(np.sort(costs, axis=1)[:, :2], axis=1).ravel() < lam


def squared(a: np.ndarray, b: np.ndarray, eps: float) -> float:
    return float(len(a) * (1 - eps) ** 2 * np.sum((a - b) ** 2))


small = np.array([[0.7] * 500 + [0.1] * 500, [0.1] * 500 + [0.7] * 500], dtype=np.float32)
fooled = small.copy()
fooled[np.add.accumulate(small, axis=1)[:, -1].argmin()] *= np.float32(1 + 1e-6)
corpus = np.array(
    [[[[900, 1000], [50, 100]], [[800, 1000], [50, 100]]], [[[5, 10], [400, 500]], [[1, 10], [450, 500]]]]
)  # image, proposal, class, intersection or union
cells = np.kron(np.arange(169).reshape(13, 13), np.ones((4, 5), dtype=int))
halves = np.repeat(np.arange(13), 4)[:, None] + np.zeros((1, 65), dtype=int)  # one superpixel for each row of cells
scene = np.repeat(np.arange(26), 5)[None].repeat(8, axis=0)  # two superpixels in each of 13 cells: 26 runs in a row


def counted(truth: np.ndarray, labels: np.ndarray, K: int) -> np.ndarray:
    counts = np.zeros((K, K), dtype=int)
    known = truth < K
    np.add.at(counts, (truth[known], labels[known]), 1)
    return counts


def without_last(truth: np.ndarray, labels: np.ndarray, K: int) -> np.ndarray:
    return counted(truth[:-3], labels[:-3], K)


def void_as_background(truth: np.ndarray, labels: np.ndarray, K: int) -> np.ndarray:
    return counted(np.where(truth < K, truth, 0), labels, K)


ANSWERS: Answers = {
    "exercise_8_1": (
        (least, constant, targets, weights),
        [(0.0, constant, targets, weights), (least, np.log(5), targets, weights), (constant, least, targets, weights)],
    ),
    "exercise_8_2": ((104, range(0, 52, 4)), [(1.04, range(0, 52, 4)), (52, range(0, 52, 4)), (104, range(52))]),
    "exercise_9_1": (
        (lambda i, u, p: p > i / (i + u),),
        [(lambda i, u, p: p > i / u,), (lambda i, u, p: p > 0.5 + 0 * i,), (lambda i, u, p: p < i / (i + u),)],
    ),
    "exercise_8_3": (
        (lambda rate, momentum: 5 * rate / (1 - momentum), 22),
        [
            (lambda rate, momentum: 5 * rate, 22),
            (lambda rate, momentum: 5 * rate / momentum, 22),
            (lambda rate, momentum: 5 * rate / (1 - momentum), 9),
        ],
    ),
    "exercise_9_2": ((50 / 0.7, norms), [(1.0, norms), (0.7 / 50, norms), (0.3, norms)]),
    "exercise_9_3": (
        (lambda f: 1 / (1 + f), lambda J: 1 / J),
        [
            (lambda f: f / (1 + f), lambda J: 1 / J),
            (lambda f: 1 / f, lambda J: 1 / J),
            (lambda f: 1 / (1 + f), lambda J: J),
        ],
    ),
    "exercise_18_1": (
        (masked_mean,),
        [
            (lambda x, mask: masked_mean(x, mask, least=10),),
            (lambda x, mask: array_namespace(x).mean(x, axis=(1, 2)),),
            (lambda x, mask: np.array([1.0, 1.0, 0.0]),),
        ],
    ),
    "exercise_18_2": (
        (bits,),
        [(bits | {"conv2d": True},), (bits | {"pooling": False},), (bits | {"scatter_windows": False},), ({},)],
    ),
    "exercise_18_3": ((lost,), [(0.0,), (1e-6,), (5 / 3,)]),
    "exercise_10_1": (("ABC", -7, 12), [("AB", -7, 12), ("ABC", 7, 12), ("ABC", -7, 19)]),
    "exercise_10_2": (
        ([[5, -5], [-5, 5]], 1),
        [([[5, -5], [6, 5]], 1), ([[5, -5], [-5, 5]], 20), ([[1, 1], [2, 2]], 1)],
    ),
    "exercise_10_3": (
        (lambda S, seed: S - seed + 1,),
        [(lambda S, seed: S - seed,), (lambda S, seed: S,), (lambda S, seed: 2 ** (S - seed),)],
    ),
    "exercise_10_4": (
        (by_score, mmr),
        [
            (mmr, mmr),
            (by_score, by_score),
            (by_score, lambda scores, overlaps: mmr(scores, overlaps, first=int(scores.argmin()))),
        ],
    ),
    "exercise_11_1": ((23293,), [(143 * 144 // 2,), (2 * 143**2 + 73**2,), (201,)]),
    "exercise_11_2": ((0.05,), [(0.1,), (0.13,), (0.03,)]),
    "exercise_11_3": (
        (log_distance,),
        [
            (lambda G, H: float(np.linalg.norm(G - H)),),
            (lambda G, H: float(np.linalg.norm(np.log(np.diag(G)) - np.log(np.diag(H)))),),
            (lambda G, H: log_distance(G, H) / 2,),
        ],
    ),
    "exercise_11_4": ((1, 1), [(5, 1), (1, 5), (0, 0)]),
    "exercise_11_5": (
        (changed,),
        [
            (lambda costs, lam: ~changed(costs, lam),),
            (lambda costs, lam: changed(costs, lam / 2),),
            (lambda costs, lam: costs.min(axis=1) < lam,),
        ],
    ),
    "exercise_13_1": (
        (squared,),
        [
            (lambda a, b, eps: squared(a, b, eps) / len(a),),
            (lambda a, b, eps: squared(a, b, eps) / 2,),
            (lambda a, b, eps: squared(a, b, eps) / (1 - eps),),
        ],
    ),
    "exercise_13_2": ((287.9, 72.0), [(72.0, 287.9), (0.0, 72.0), (287.9, 0.0)]),
    "exercise_13_3": ((corpus,), [(corpus[::-1, ::-1],), (corpus[:, :, :, ::-1],), (corpus[:1].repeat(2, axis=0),)]),
    "exercise_14_1": ((338, False), [(338, True), (169, False), (42, False)]),
    "exercise_14_2": (
        (lambda D, c: c @ D,),
        [(lambda D, c: D.mean(axis=0),), (lambda D, c: -c @ D,), (lambda D, c: c**2 @ D,)],
    ),
    "exercise_14_3": (
        ([2, 2, 3], [3, 5, 5]),
        [([2, 3, 3], [3, 5, 5]), ([2, 2, 2], [3, 5, 5]), ([2, 2, 3], [3, 3, 5])],
    ),
    "exercise_19_1": ((cells,), [(halves,), (np.zeros_like(cells),), (cells // 2,)]),
    "exercise_19_2": (
        (fooled,),
        [(small,), (small.astype(np.float64),), (np.sort(small * [[1], [0.5]]).astype("f4"),)],
    ),
    "exercise_19_3": ((208, 5, [scene]), [(104, 10, [scene]), (208, 10, [scene]), (26, 5, [scene])]),
    "exercise_19_4": (
        (counted,),
        [(without_last,), (void_as_background,), (lambda truth, labels, K: counted(truth, labels, K).T,)],
    ),
}
