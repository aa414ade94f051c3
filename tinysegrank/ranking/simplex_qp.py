"""Solve a small quadratic programme over a simplex exactly, by an active set: the dual of the cutting planes."""

from __future__ import annotations

import numpy as np

_PIVOTS = 20  # largest number of entering variables per variable; rounding may cause cycles at the end
_RIDGE = 1e-12  # times the largest diagonal entry; keeps systems regular if planes are dependent


def minimise_on_simplex(G: np.ndarray, b: np.ndarray, total: float, start: np.ndarray, *, tol: float) -> np.ndarray:
    """Minimise 0.5 x . G x - b . x over x >= 0 with sum x = total.

    G       | (n, n) | float64 | symmetric, positive semidefinite
    b       | (n,)   | float64 |
    start   | (n,)   | float64 | feasible, such as the solution before a variable was added
    returns | (n,)   | float64 | feasible, and not above the value at `start`

    The variable with the smallest derivative enters the support, then x moves to the minimum over the support's plane.
    If that is outside the simplex, x moves towards it up to the border, and variables that become 0 leave the support.

    Args:
        total: the sum, above 0.
        tol: stop when no feasible point can be lower by more than this.

    Source: Wolfe, "Finding the nearest point in a polytope", Mathematical Programming 11, 1976, with a linear term.
    """
    x = start
    for _ in range(_PIVOTS * len(b)):
        gradient = G @ x - b
        entering = int(np.argmin(gradient))
        could_fall = float(x @ gradient - total * gradient[entering])  # a bound, from the linearisation
        if could_fall <= tol or x[entering] > 0:  # the second by rounding only
            break
        x = _minimise_on_support(G, b, total, x, np.append(np.flatnonzero(x), entering))
    return x


def _minimise_on_support(G: np.ndarray, b: np.ndarray, total: float, x: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Move x to the minimum over the support, dropping variables from it until the minimum is inside the simplex."""
    x = x.copy()
    while True:
        target = _minimise_on_plane(G[np.ix_(support, support)], b[support], total)
        falling = np.flatnonzero(target <= 0)
        if not len(falling):
            x[support] = target
            return x
        here = x[support]
        fall = here[falling] - target[falling]
        reach = np.divide(here[falling], fall, out=np.zeros_like(fall), where=fall > 0)  # 0..1, how far each can go
        x[support] = np.maximum(here + reach.min() * (target - here), 0)
        x[support[falling[np.argmin(reach)]]] = 0
        support = support[x[support] > 0]


def _minimise_on_plane(G: np.ndarray, b: np.ndarray, total: float) -> np.ndarray:
    """Return the minimum subject to sum x = total only: [G 1; 1 0] [x; multiplier] = [b; total], scaled."""
    count, scale = len(b), float(np.diag(G).max()) or 1.0
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = G / scale + _RIDGE * np.eye(count)
    system[count, count] = 0
    return np.linalg.solve(system, np.append(b / scale, total))[:count]
