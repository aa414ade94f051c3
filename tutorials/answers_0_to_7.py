"""A right answer to each exercise of pages 0 to 7, and three wrong ones: what the tests give to the checks."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.signal import correlate2d
from scipy.special import expit, softmax

from tinysegrank import nn

Answers = dict[str, tuple[tuple[Any, ...], list[tuple[Any, ...]]]]
rng = np.random.default_rng(0)
coarse = rng.dirichlet(np.ones(21), (13, 13)).astype(np.float32)
one_class = np.eye(21)[coarse.argmax(axis=2)]


# Page 1 --------------------------------------------------------------------------------------------------------------


def squares(x: np.ndarray, p: np.ndarray, w: np.ndarray, b: float, *, factor: int = 2) -> Any:
    q = expit(x @ w + b)
    error = factor * (q - p) * q * (1 - q) / len(p)
    return error @ x, error.sum()


# Page 2 ---------------------------------------------------------------------------------------------------------------


def dilated(x: np.ndarray, w: np.ndarray, d: int, *, gap: int | None = None) -> np.ndarray:
    gap = d if gap is None else gap
    rows, columns = (length - d * (k - 1) for length, k in zip(x.shape, w.shape, strict=True))
    taps = np.ndindex(*w.shape)
    return sum(w[i, j] * x[gap * i : gap * i + rows, gap * j : gap * j + columns] for i, j in taps)


last = np.zeros((6, 6), dtype=bool)
last[5] = last[:, 5] = True
column, row = np.array([[1.0], [2], [1]]), np.array([[1.0, 0, -1]])

# Page 3 ---------------------------------------------------------------------------------------------------------------


def mean_pool(x: np.ndarray, divisor: int = 0) -> Any:
    out = [max(1, -(-(length - 3) // 2) + 1) for length in x.shape]
    y, count = np.zeros(out), np.zeros(out)
    for r, s in np.ndindex(*out):
        window = x[2 * r : 2 * r + 3, 2 * s : 2 * s + 3]
        count[r, s] = divisor or window.size
        y[r, s] = window.sum() / count[r, s]
    return y, (x.shape, count)


def mean_pool_backward(g: np.ndarray, context: Any, *, shared: bool = True, adds: bool = True) -> np.ndarray:
    shape, count = context
    gx = np.zeros(shape)
    for r, s in np.ndindex(*g.shape):
        part = g[r, s] / count[r, s] if shared else g[r, s]
        window = gx[2 * r : 2 * r + 3, 2 * s : 2 * s + 3]
        window[...] = part + (window if adds else 0)
    return gx


def rounding_down(x: np.ndarray) -> Any:
    y, (_, count) = mean_pool(x[: (x.shape[0] - 1) // 2 * 2 + 1, : (x.shape[1] - 1) // 2 * 2 + 1])
    return y, (x.shape, count)


def reach(a: np.ndarray, before: int, after: int) -> np.ndarray:
    padded = np.pad(a, [(before, after)] + [(0, 0)] * (a.ndim - 1))
    return sum(padded[shift : shift + len(a)] for shift in range(before + after + 1))


def even_lrn(x: np.ndarray, alpha: float, beta: float, *, n: int = 4, before: int = 2) -> Any:
    s = 1 + alpha / n * reach(x**2, before, 3 - before)
    return x * s**-beta, (x, s, alpha, beta)


def even_backward(g: np.ndarray, context: Any, *, before: int = 1, terms: int = 2) -> np.ndarray:
    x, s, alpha, beta = context
    second = alpha * beta / 2 * x * reach(g * x * s ** (-beta - 1), before, 3 - before)
    return g * s**-beta - (second if terms == 2 else 0)


# Page 4 ---------------------------------------------------------------------------------------------------------------


def silenced(d: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return 1 / (1 + np.exp(-d))


def temperature_slope(z: np.ndarray, T: float, *, power: int = 2, sign: int = -1) -> np.ndarray:
    q = softmax(z / T)
    return sign * q * (z - (q * z).sum()) / T**power


def log_backward(g: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    return g - np.exp(log_q) * g.sum(axis=-1, keepdims=True)


# Pages 5 and 6 --------------------------------------------------------------------------------------------------------


def dice_gradient(z: np.ndarray, p: np.ndarray, *, factor: float = -2, through: bool = True) -> np.ndarray:
    q = softmax(z, axis=1)
    total, both = (q + p).sum(axis=0), (q * p).sum(axis=0)
    A = factor * (p * total - both) / total**2
    return q * (A - (A * q).sum(axis=1, keepdims=True)) if through else A


def sums(z: np.ndarray, p: np.ndarray) -> np.ndarray:
    q = softmax(z, axis=1)
    return np.stack([(q * p).sum(axis=0), (q + p).sum(axis=0)])


def with_sums(z: np.ndarray, p: np.ndarray, both: Any) -> np.ndarray:
    q, (I, S) = softmax(z, axis=1), both[0] + both[1]  # noqa: E741
    A = (p * S - I) / (S - I) ** 2
    return q * (A - (A * q).sum(axis=1, keepdims=True))


# Page 7 ---------------------------------------------------------------------------------------------------------------


def silu(x: np.ndarray) -> Any:
    return x * expit(x), x


def silu_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    return g * expit(x) * (1 + x * (1 - expit(x)))


def leaky(x: np.ndarray, a: np.ndarray) -> Any:
    return np.maximum(x, 0) + a * np.minimum(x, 0), (x, a)


def leaky_backward(g: np.ndarray, context: Any) -> Any:
    x, a = context
    return g * np.where(x > 0, 1, a), np.sum(g * np.minimum(x, 0))


class Residual:
    direct = 1

    def __init__(self, inner: Any) -> None:
        self.inner, self.parameters = inner, inner.parameters

    def forward(self, x: Any, *, rng: Any = None) -> Any:
        y, context = self.inner.forward(x, rng=rng)
        return x + y, context

    def backward(self, gradient: Any, context: Any, **needs: bool) -> Any:
        gx, gradients = self.inner.backward(gradient, context, **needs)
        return self.direct * gradient + gx, gradients


class OnlyInner(Residual):
    direct = 0


class Frozen(Residual):
    def backward(self, gradient: Any, context: Any, **needs: bool) -> Any:
        return super().backward(gradient, context, **needs)[0], {}


def plain(inner: nn.Layer) -> nn.Layer:
    return inner


ANSWERS: Answers = {
    "exercise_1_1": (
        (lambda x, p, w, b: squares(x, p, w, b),),
        [
            (lambda x, p, w, b: squares(x, p, w, b, factor=1),),
            (lambda x, p, w, b: ((expit(x @ w + b) - p) @ x / len(p), np.mean(expit(x @ w + b) - p)),),
            (lambda x, p, w, b: (squares(x, p, w, b)[0], len(p) * squares(x, p, w, b)[1]),),
        ],
    ),
    "exercise_1_2": (
        (lambda x: (np.tanh(x), np.tanh(x)), lambda g, y: g * (1 - y**2)),
        [
            (lambda x: (np.tanh(x), x), lambda g, x: g * (1 - x**2)),
            (lambda x: (np.tanh(x), np.tanh(x)), lambda g, y: 1 - y**2),
            (lambda x: (expit(x), expit(x)), lambda g, y: g * y * (1 - y)),
        ],
    ),
    "exercise_1_3": ((354,), [(320,), (36,), (34,)]),
    "exercise_1_4": ((1,), [(16,), (2,), (0,)]),
    "exercise_0_1": ((0.70742,), [(0.67596,), (0.85659,), (0.70519,)]),  # of all pixels, of one mask, mean over masks
    "exercise_0_2": ((0.7 / 21,), [(0.7,), (0.7 / 20,), (0.0,)]),
    "exercise_0_3": (
        (coarse, coarse),
        [(one_class, coarse), (np.full_like(coarse, 1 / 21), coarse), (2 * coarse, coarse)],
    ),
    "exercise_2_1": (
        (55, 27, [55, 55, 55, 56]),
        [(54, 27, [55, 55, 55, 56]), (55, 23, [55, 55, 55, 56]), (55, 27, [55, 55, 56, 56])],
    ),
    "exercise_2_2": (
        (last,),
        [(~last,), (last & (np.indices((6, 6)).sum(axis=0) == 10),), (np.zeros((6, 6), dtype=bool),)],
    ),
    "exercise_2_3": (
        (dilated,),
        [
            (lambda x, w, d: dilated(x, w, d, gap=1),),
            (lambda x, w, d: dilated(x, w[::-1], d),),
            (lambda x, w, d: correlate2d(x, w, mode="valid"),),
        ],
    ),
    "exercise_2_4": ((row, column, 6), [(row, column, 9), (row, row.T, 6), (column @ row, np.ones((1, 1)), 10)]),
    "exercise_3_1": (
        ([*range(211, 215), *range(227, 231)],),
        [([227],), ([*range(211, 215)],), ([*range(200, 241)],)],
    ),
    "exercise_3_2": (
        (mean_pool, mean_pool_backward),
        [
            (lambda x: mean_pool(x, 9), mean_pool_backward),
            (mean_pool, lambda g, context: mean_pool_backward(g, context, shared=False)),
            (mean_pool, lambda g, context: mean_pool_backward(g, context, adds=False)),
            (rounding_down, mean_pool_backward),
        ],
    ),
    "exercise_3_3": ((316.2,), [(223.6,), (100_000.0,), (1.0,)]),
    "exercise_3_4": (
        (even_lrn, even_backward),
        [
            (even_lrn, lambda g, context: even_backward(g, context, before=2)),
            (even_lrn, lambda g, context: even_backward(g, context, terms=1)),
            (lambda x, a, b: even_lrn(x, a, b, before=1), lambda g, c: even_backward(g, c, before=2)),
            (lambda x, a, b: even_lrn(x, a, b, n=5), even_backward),
        ],
    ),
    "exercise_4_1": (
        (lambda d: np.where(d >= 0, 1, np.exp(-abs(d))) / (1 + np.exp(-abs(d))),),
        [
            (lambda d: 1 / (1 + np.exp(-d)),),
            (silenced,),
            (lambda d: 1 / (1 + np.exp(-abs(d))),),
            (lambda d: expit(-d),),
        ],
    ),
    "exercise_4_2": (
        (lambda q: np.diag(q) - np.outer(q, q),),
        [(lambda q: np.diag(q),), (lambda q: -np.outer(q, q),), (lambda q: np.diag(q) + np.outer(q, q),)],
    ),
    "exercise_4_3": (
        (temperature_slope,),
        [
            (lambda z, T: temperature_slope(z, T, power=1),),
            (lambda z, T: temperature_slope(z, T, sign=1),),
            (lambda z, T: -z / T**2 * softmax(z / T),),
        ],
    ),
    "exercise_4_4": (
        (log_backward,),
        [
            (lambda g, log_q: g - np.exp(log_q),),
            (lambda g, log_q: np.exp(log_q) * (g - (g * np.exp(log_q)).sum(axis=-1, keepdims=True)),),
            (lambda g, log_q: g - log_q * g.sum(axis=-1, keepdims=True),),
        ],
    ),
    "exercise_5_1": (
        (lambda J: 2 * J / (1 + J), [[0.5, 0.5], [0.1, 0.95]]),
        [
            (lambda J: J / (1 + J), [[0.5, 0.5], [0.1, 0.95]]),
            (lambda J: 2 * J / (1 + J), [[0.5, 0.5], [0.1, 0.1]]),
            (lambda J: 2 * J / (1 + J), [[0.5, 0.5], [0.1, 9.5]]),
        ],
    ),
    "exercise_5_2": (
        (lambda u, K: (K - 1 + 1 / (K * u - K + 1)) / K,),
        [(lambda u, K: 1 / u,), (lambda u, K: 1.0,), (lambda u, K: (K - 1) / K,)],
    ),
    "exercise_5_3": (
        (lambda p: p**2 / (p**2 + (1 - p) ** 2),),
        [(lambda p: p,), (lambda p: p**2,), (lambda p: float(p > 0.5),)],
    ),
    "exercise_6_1": (
        (dice_gradient,),
        [
            (lambda z, p: dice_gradient(z, p, factor=2),),
            (lambda z, p: dice_gradient(z, p, factor=-1),),
            (lambda z, p: dice_gradient(z, p, through=False),),
        ],
    ),
    "exercise_6_2": (
        (lambda q: -len(q) / q.sum() ** 2, True),
        [
            (lambda q: len(q) / q.sum() ** 2, False),
            (lambda q: -1 / q.sum() ** 2, True),
            (lambda q: -len(q) / q.sum() ** 2, False),
        ],
    ),
    "exercise_6_3": (
        (sums, with_sums),
        [
            (sums, lambda z, p, both: with_sums(z, p, [both[0], 0])),
            (sums, lambda z, p, both: with_sums(z, p, [both[0] / 2, both[1] / 2])),
            (lambda z, p: (z, p), lambda z, p, both: with_sums(z, p, [sums(*each) for each in both])),
        ],
    ),
    "exercise_7_1": (
        (silu, silu_backward),
        [
            (silu, lambda g, x: g * expit(x)),
            (silu, lambda g, x: expit(x) * (1 + x * (1 - expit(x)))),
            (lambda x: (expit(x), x), lambda g, x: g * expit(x) * (1 - expit(x))),
        ],
    ),
    "exercise_7_2": (
        (leaky, leaky_backward),
        [
            (leaky, lambda g, context: (leaky_backward(g, context)[0], g * np.minimum(context[0], 0))),
            (leaky, lambda g, context: (g * np.where(context[0] > 0, 1, 0), leaky_backward(g, context)[1])),
            (lambda x, a: (np.maximum(x, a * x), (x, a)), leaky_backward),  # another function for a > 1
        ],
    ),
    "exercise_7_3": ((Residual,), [(OnlyInner,), (Frozen,), (plain,)]),
    "exercise_7_4": ((0.2, 0.98), [(0.98, 0.98), (0.0, 1.0), (0.2, 0.2)]),
}
