"""Minimise a regularised convex risk by cutting planes, with one slack for all images and a line search.

It minimises over w   P(w) = 0.5 |w|^2 + C R(w),   R convex and 0 or more, by planes R(w) >= b - a . w that are tangent
to R at some w. Minimising under all planes taken so far is a small quadratic programme, solved in its dual. Its
value is a lower bound on P, which only rises; the best w found gives an upper bound, which only falls. Iteration ends
when the two are close enough.

With one slack for the sum, instead of one per image, each step adds one plane. So the programme has as many variables
as steps were taken (tens to hundreds, for any number of images), and every step costs one pass over X. Planes are taken
near the best w found by a line search, not at the minimum of the programme, which oscillates at first: to a precision
of a thousandth this takes a third to a quarter of the steps, fewer for larger C.

Source: Joachims, Finley and Yu, "Cutting-plane training of structural SVMs", Machine Learning 77, 2009 (one slack);
Franc and Sonnenburg, "Optimized cutting plane algorithm for support vector machines", ICML 2008 (line search).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from tinysegrank.ranking.simplex_qp import minimise_on_simplex

_NEAR = 0.1  # position of the new plane between the best w found (0) and the programme's (1)
_QP_PART = 1e-3  # tolerance of the programme, relative to the gap still wanted
_DOUBLINGS, _HALVINGS = 10, 20  # of the line search, which need not be exact


class Risk(Protocol):
    """A convex risk of scores, which are linear in w."""

    def scores(self, w: np.ndarray) -> np.ndarray:
        """Return the scores X w | (rows,) | float64."""

    def value(self, scores: np.ndarray) -> float:
        """Return R at these scores."""

    def plane(self, scores: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the tangent plane R(w) >= b - a . w at these scores: a (d,), and b."""

    def slopes(self, scores: np.ndarray, direction: np.ndarray) -> Callable[[float], float]:
        """Return a slope (subgradient) of R along scores + t * direction, as a function of t."""


class PlanesSolution(NamedTuple):
    """Coefficients (d,), lower and upper bound on the optimum after each step (steps, 2), and whether they met."""

    w: np.ndarray
    bounds: np.ndarray
    converged: bool


class Planes:
    """All planes taken, beginning with R(w) >= 0, and the dual variables of the last programme."""

    def __init__(self, d: int, C: float) -> None:
        self.C = C
        self.a, self.b = np.zeros((1, d)), np.zeros(1)
        self.gram = np.zeros((1, 1))
        self.dual = np.array([C])  # 0 or more, of sum C

    def add(self, a: np.ndarray, b: float) -> None:
        """Add the plane R(w) >= b - a . w."""
        products = self.a @ a
        self.gram = np.block([[self.gram, products[:, None]], [products[None, :], np.full((1, 1), a @ a)]])
        self.a, self.b, self.dual = np.vstack([self.a, a]), np.append(self.b, b), np.append(self.dual, 0.0)

    def minimise(self, tol: float) -> tuple[np.ndarray, float]:
        """Return the w that minimises the programme, and a lower bound on P within `tol` of the programme's value."""
        self.dual = minimise_on_simplex(self.gram, self.b, self.C, self.dual, tol=tol)
        w = self.dual @ self.a  # (d,)
        return w, float(self.dual @ self.b - 0.5 * w @ w)


def minimise_by_planes(risk: Risk, start: np.ndarray, C: float, *, tol: float, max_iter: int) -> PlanesSolution:
    """Minimise 0.5 |w|^2 + C R(w) until the upper bound is at most (1 + tol) times the lower one.

    It also ends after `max_iter` steps.

    start | (d,) | float64 | 0, or the solution of a similar problem
    """
    w, scores = start, risk.scores(start)
    upper = float(0.5 * w @ w + C * risk.value(scores))
    planes, bounds, at = Planes(len(start), C), [], scores
    lower = -np.inf
    for _ in range(max_iter):
        planes.add(*risk.plane(at))
        programme_w, bound = planes.minimise(_QP_PART * tol * upper)
        lower = max(lower, bound)  # smaller only by rounding
        programme_scores = risk.scores(programme_w)
        direction, scores_direction = programme_w - w, programme_scores - scores
        t = _line_search(w, direction, C, risk.slopes(scores, scores_direction))
        there, scores_there = w + t * direction, scores + t * scores_direction
        value_there = float(0.5 * there @ there + C * risk.value(scores_there))
        if value_there < upper:
            w, scores, upper = there, scores_there, value_there
        bounds.append((lower, upper))
        if upper <= (1 + tol) * lower:
            break
        at = (1 - _NEAR) * scores + _NEAR * programme_scores
    return PlanesSolution(w, np.array(bounds), bool(upper <= (1 + tol) * lower))


def _line_search(w: np.ndarray, direction: np.ndarray, C: float, slope: Callable[[float], float]) -> float:
    """Return a t > 0 near the minimum of P along w + t * direction, which is convex: its slope changes sign once."""
    constant, linear = float(w @ direction), float(direction @ direction)
    low, high = 0.0, 1.0
    for _ in range(_DOUBLINGS):
        if constant + linear * high + C * slope(high) >= 0:
            break
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if constant + linear * middle + C * slope(middle) < 0:
            low = middle
        else:
            high = middle
    return high
