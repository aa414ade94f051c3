"""The paper's supplement, Eqs. 18-67, written out as printed, against the library and against differences.

z, q and p are (N, K): scores, predicted and true distributions of N cells, as in the supplement. Where it prints two
forms, both are here. The chain rule of Eqs. 54, 55 and 61-63 is shown to hold for total derivatives, while z_ik alone
moves, and not for partial ones; that of Eq. 49 for neither.
"""

# ruff: noqa: E741  (I is the intersection, as in the supplement)

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.operations import assert_close
from tinysegrank import losses, nn

N, K = 7, 4
TO_THE_LETTER: dict[str, Any] = {"reduction": "sum", "min_mass": 0.0}


@pytest.fixture
def z(rng: np.random.Generator) -> np.ndarray:
    return 1.5 * rng.standard_normal((N, K))


@pytest.fixture
def p(rng: np.random.Generator) -> np.ndarray:
    return rng.dirichlet(np.ones(K), N)


def eq_20(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def eq_24(q: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.array([sum(q[i, k] * p[i, k] for i in range(N)) for k in range(K)])


def eq_28(q: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.array([sum(q[i, k] + p[i, k] - q[i, k] * p[i, k] for i in range(N)) for k in range(K)])


def eq_29(q: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.array([sum(q[i, k] + p[i, k] for i in range(N)) for k in range(K)]) - eq_24(q, p)


def eq_47(z: np.ndarray, p: np.ndarray) -> float:
    return float(sum(eq_24(eq_20(z), p) / eq_28(eq_20(z), p)))


def eq_60(z: np.ndarray, p: np.ndarray) -> float:
    return float(sum(eq_28(eq_20(z), p) / eq_24(eq_20(z), p)))


def differences(loss: Callable[[np.ndarray, np.ndarray], float], z: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Central differences of a loss, entry by entry."""
    gradient, step = np.zeros_like(z), 1e-5
    for place in np.ndindex(z.shape):
        change = np.zeros_like(z)
        change[place] = step
        gradient[place] = (loss(z + change, p) - loss(z - change, p)) / (2 * step)
    return gradient


def as_maps(array: np.ndarray) -> np.ndarray:
    """(N, K) cells as one image, (1, K, N, 1)."""
    return np.ascontiguousarray(array.T[None, :, :, None])


def of_library(loss: losses.Loss, z: np.ndarray, p: np.ndarray) -> tuple[float, np.ndarray]:
    value, grad_z = loss(as_maps(z), as_maps(p), **TO_THE_LETTER)
    return float(value), grad_z[0, :, :, 0].T


# Section 2: expected intersection and union --------------------------------------------------------------------------


def test_expectations_by_enumeration_of_all_labellings(rng: np.random.Generator) -> None:
    """Eqs. 21-29 for two independent random labellings of 3 cells by 3 classes: 729 outcomes, each with its chance."""
    cells, classes = 3, 3
    q, p = rng.dirichlet(np.ones(classes), (2, cells))
    intersection, union, ratio = np.zeros((3, classes))
    for predicted in itertools.product(range(classes), repeat=cells):
        for true in itertools.product(range(classes), repeat=cells):
            chance = np.prod([q[i, a] * p[i, b] for i, (a, b) in enumerate(zip(predicted, true, strict=True))])
            for k in range(classes):
                both = sum(a == k and b == k for a, b in zip(predicted, true, strict=True))  # Eq. 21
                either = sum(a == k or b == k for a, b in zip(predicted, true, strict=True))  # Eq. 25
                intersection[k] += chance * both
                union[k] += chance * either
                ratio[k] += chance * (both / either if either else 1.0)
    counts = losses.expected_counts(as_maps(q), as_maps(p))
    np.testing.assert_allclose(counts.intersection, intersection, rtol=1e-12)
    np.testing.assert_allclose(counts.union, union, rtol=1e-12)
    assert np.abs(intersection / union - ratio).max() > 0.01  # a ratio of expectations, no expectation of ratios


def test_both_forms_of_the_union(z: np.ndarray, p: np.ndarray) -> None:
    q = eq_20(z)
    counts = losses.expected_counts(as_maps(q), as_maps(p))
    for found, expected in [
        (eq_28(q, p), eq_29(q, p)),
        (counts.intersection, eq_24(q, p)),
        (counts.union, eq_28(q, p)),
        (counts.cardinality, q.sum(axis=0) + p.sum(axis=0)),
        (counts.mass, p.sum(axis=0)),
        (counts.weight, np.array(float(N))),
    ]:
        assert_close(found, expected)


# Section 3: the Jacobian of the softmax, J[k', k] = d q_k' / d z_k ---------------------------------------------------


def _quotient_rule(e: np.ndarray, a: int, k: int) -> float:
    """Eq. 31: exp(z_k') differentiated by z_k is exp(z_k) if k = k', else 0; the sum gives exp(z_k)."""
    return float(((e[a] if a == k else 0.0) * e.sum() - e[a] * e[k]) / e.sum() ** 2)


def _by_cases_of_exponentials(e: np.ndarray, a: int, k: int) -> float:
    """Eqs. 33 and 35."""
    return float((e[k] * e.sum() - e[k] * e[k] if a == k else -e[a] * e[k]) / e.sum() ** 2)


JACOBIANS: dict[str, Callable[[np.ndarray, np.ndarray, int, int], float]] = {
    "31": lambda e, _, a, k: _quotient_rule(e, a, k),
    "33, 35": lambda e, _, a, k: _by_cases_of_exponentials(e, a, k),
    "34, 36": lambda _, q, a, k: q[k] - q[k] ** 2 if a == k else -q[a] * q[k],
    "37": lambda _, q, a, k: (a == k) * (q[k] - q[k] ** 2) - (a != k) * q[a] * q[k],
    "39": lambda _, q, a, k: (a == k) * q[a] * (1 - q[k]) - (a != k) * q[a] * q[k],
    "40": lambda _, q, a, k: q[a] * ((a == k) * (1 - q[k]) + (a != k) * (-q[k])),
    "41": lambda _, q, a, k: q[a] * ((a == k) * (1 - q[k]) + (a != k) * (0 - q[k])),
    "42": lambda _, q, a, k: q[a] * ((a == k) - q[k]),
}


@pytest.mark.parametrize("equation", JACOBIANS)
def test_every_form_of_the_jacobian(equation: str, z: np.ndarray) -> None:
    """Against the complex step of Eq. 20, and against the library's backward pass of each unit vector."""
    form, scores = JACOBIANS[equation], z[0]
    e, q = np.exp(scores), eq_20(scores[None])[0]
    printed = np.array([[form(e, q, a, k) for k in range(K)] for a in range(K)])
    by_step = np.array([np.imag(eq_20(scores[None] + 1e-60j * unit)[0]) / 1e-60 for unit in np.eye(K)]).T
    _, context = nn.softmax(np.tile(scores, (K, 1)))
    np.testing.assert_allclose(printed, by_step, rtol=1e-12)
    np.testing.assert_allclose(nn.softmax_backward(np.eye(K), context), printed, rtol=1e-12)


# Sections 5 and 6: the gradients -------------------------------------------------------------------------------------


def through_softmax(coefficient: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Sum over k' of coefficient_ik' q_ik' ([k = k'] - q_ik), as Eqs. 57-59 and 65-67 all end."""
    gradient = np.zeros_like(q)
    for i, k, a in itertools.product(range(N), range(K), range(K)):
        gradient[i, k] += coefficient[i, a] * q[i, a] * ((k == a) - q[i, k])
    return gradient


# The coefficients, of I, U, S = sum of q + p, q and p
COEFFICIENTS: dict[str, tuple[str, Callable[..., np.ndarray]]] = {
    "57": ("iou", lambda I, U, S, q, p: (U * p - I * (1 - p)) / U**2),
    "58": ("iou", lambda I, U, S, q, p: (p * (q + p - q * p).sum(0) - (1 - p) * (q * p).sum(0)) / U**2),
    "59": ("iou", lambda I, U, S, q, p: (p * S - I) / U**2),
    "65": ("uoi", lambda I, U, S, q, p: (I * (1 - p) - U * p) / I**2),
    "66": ("uoi", lambda I, U, S, q, p: ((1 - p) * (q * p).sum(0) - p * (q + p - q * p).sum(0)) / I**2),
    "67": ("uoi", lambda I, U, S, q, p: (I - p * S) / I**2),
}
LOSSES: dict[str, tuple[losses.Loss, Callable[[np.ndarray, np.ndarray], float]]] = {
    "iou": (losses.iou, eq_47),
    "uoi": (losses.uoi, eq_60),
}


def coefficients(equation: str, z: np.ndarray, p: np.ndarray) -> np.ndarray:
    q = eq_20(z)
    return COEFFICIENTS[equation][1](eq_24(q, p), eq_28(q, p), q.sum(axis=0) + p.sum(axis=0), q, p)


@pytest.mark.parametrize("equation", COEFFICIENTS)
def test_printed_gradients_are_the_librarys_and_those_by_differences(
    equation: str, z: np.ndarray, p: np.ndarray
) -> None:
    loss, printed_loss = LOSSES[COEFFICIENTS[equation][0]]
    printed = through_softmax(coefficients(equation, z, p), eq_20(z))
    value, grad_z = of_library(loss, z, p)
    assert value == pytest.approx(printed_loss(z, p), rel=1e-13)
    assert_close(grad_z, printed)
    assert_close(printed, differences(printed_loss, z, p), 1e-8)


@pytest.mark.parametrize(("one", "other"), [("57", "59"), ("58", "59"), ("65", "67"), ("66", "67")])
def test_the_printed_forms_are_identical(one: str, other: str, z: np.ndarray, p: np.ndarray) -> None:
    assert_close(coefficients(one, z, p), coefficients(other, z, p), 1e-14)


def slopes_of_q(z: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """dq_ik'/dz_ik by differences, as (N, K, K) with k' before k."""
    slopes = np.zeros((N, K, K))
    for i, k in itertools.product(range(N), range(K)):
        d = np.zeros_like(z)
        d[i, k] = step
        slopes[i, :, k] = (eq_20(z + d)[i] - eq_20(z - d)[i]) / (2 * step)
    return slopes


@pytest.mark.parametrize("name", LOSSES)
def test_the_printed_chain_rule_holds_for_total_derivatives_but_for_eq_49(
    name: str, z: np.ndarray, p: np.ndarray
) -> None:
    """Eqs. 49, 54, 55 and 61-63, with dq_ik'/dq_ik the ratio of both slopes in z_ik.

    As partial derivatives, d/dq_ik of the term k' is 0 unless k' = k, which leaves A_ik q_ik (1 - q_ik).
    """
    loss, printed_loss = LOSSES[name]
    q, A = eq_20(z), coefficients({"iou": "57", "uoi": "65"}[name], z, p)
    gradient, slopes = differences(printed_loss, z, p), slopes_of_q(z)
    own = np.einsum("ikk->ik", slopes)  # (N, K): dq_ik/dz_ik
    ratio = slopes / own[:, None]  # (N, K, K): dq_ik'/dq_ik
    different = ~np.eye(K, dtype=bool)
    assert_close(ratio[:, different], (-q[:, :, None] / (1 - q[:, None]))[:, different], 1e-6)
    assert_close((A[..., None] * ratio).sum(axis=1) * own, gradient, 1e-6)  # Eqs. 54 and 55, 61 to 63
    for wrong in (A * q * (1 - q), (A[..., None] * ratio * slopes).sum(axis=1)):  # partial derivatives; Eq. 49
        assert np.abs(wrong - gradient).max() > 0.1 * np.abs(gradient).max()
    assert_close(of_library(loss, z, p)[1], gradient, 1e-8)


def test_iou_is_a_gain_and_both_sum_over_classes(z: np.ndarray, p: np.ndarray) -> None:
    """Eq. 47 is called a loss; a step up its gradient raises the overlap. The mean is the sum by K."""
    for loss, direction in ((losses.iou, 1), (losses.uoi, -1)):
        total, grad_z = of_library(loss, z, p)
        mean, mean_grad = loss(as_maps(z), as_maps(p), min_mass=0.0)
        assert float(mean) == pytest.approx(total / K)
        assert_close(K * mean_grad[0, :, :, 0].T, grad_z)
        moved = z + direction * 1e-4 * grad_z
        assert of_library(losses.iou, moved, p)[0] > of_library(losses.iou, z, p)[0]
