"""Newton's method, with conjugate gradients and an exact line search, for the squared hinge loss on pairs of rows.

With D the matrix whose row p is x_better(p) - x_worse(p), it minimises over w

    0.5 |w|^2 + C sum_p c_p max(0, 1 - D_p w)^2,    which is strictly convex and piecewise quadratic.

A product with D costs a product with X and two operations per pair. The rows of D, which outnumber those of X, are
never stored; the preconditioner computes a few at a time.

Source: Chapelle and Keerthi, "Efficient algorithms for ranking with SVMs", Information Retrieval 13, 2010.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, get_blas_funcs

from tinysegrank.ranking.oracle import Pairs

_STALE = 0.3  # the preconditioner is recomputed once this share of the active pairs has changed
_PAIRS_PER_COLUMN = 4  # 2 takes twice as many iterations, 10 twice as long to sum
_FEWEST = 1000  # pairs; if there are fewer, all are used
_BLOCK = 256  # differences computed at a time, so that they use little memory compared with X
_ROUNDING = 16  # machine epsilons of P's trace added to its diagonal; keeps P positive definite despite rounding


class Solution(NamedTuple):
    """The coefficients (d,), the objective's value there, the number of Newton steps, and True if they converged."""

    w: np.ndarray
    value: float
    steps: int
    converged: bool


class PairwiseHinge:
    """The objective 0.5 |w|^2 + C sum_p c_p max(0, 1 - D_p w)^2, where row p of D is x_better(p) - x_worse(p).

    X       | (rows, d) | float32 or float64 | never copied: products with it are computed in its dtype
    weights | (pairs,)  | float64            | the weight c_p of each pair, 0 or more
    """

    def __init__(self, X: np.ndarray, pairs: Pairs, weights: np.ndarray, C: float) -> None:
        self._ends = np.stack([pairs.better, pairs.worse], axis=1).ravel()  # (2 pairs,)
        self.X, self.pairs, self.weights, self.C = X, pairs, weights, C
        self.preconditioner: SampledHessian | None = None

    def margins(self, w: np.ndarray) -> np.ndarray:
        """Return D w: (pairs,) float64."""
        scores = (self.X @ w.astype(self.X.dtype)).astype(np.float64)
        return scores[self.pairs.better] - scores[self.pairs.worse]

    def adjoint(self, values: np.ndarray) -> np.ndarray:
        """Return D^T v for one value v_p per pair: (pairs,) -> (d,) float64."""
        of_rows = np.bincount(self._ends, np.stack([values, -values], axis=1).ravel(), len(self.X))
        return np.asarray(of_rows.astype(self.X.dtype) @ self.X, np.float64)

    def value(self, w: np.ndarray, margins: np.ndarray) -> float:
        """Return the objective at w, given its margins D w."""
        return float(0.5 * w @ w + self.C * self.weights @ np.maximum(0, 1 - margins) ** 2)

    def gradient(self, w: np.ndarray, margins: np.ndarray) -> np.ndarray:
        """Return the gradient at w, given its margins: w - 2 C D^T [c * max(0, 1 - D w)], (d,) float64."""
        return w - 2 * self.C * self.adjoint(self.weights * np.maximum(0, 1 - margins))

    def newton_direction(
        self, gradient: np.ndarray, margins: np.ndarray, *, tolerance: float, max_iter: int = 250
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve H s = -gradient by preconditioned conjugate gradients, with H = I + 2 C D^T diag(c * [D w < 1]) D.

        gradient | (d,)           | float64 | at w
        margins  | (pairs,)       | float64 | D w
        returns  | (d,), (pairs,) | float64 | s, and D s, which the line search needs

        It stops once the norm of the residual is at most `tolerance` times that of the gradient, or after `max_iter`
        iterations.
        """
        curvature = 2 * self.C * self.weights * (margins < 1)  # (pairs,)
        self._refresh_preconditioner(curvature)
        s, s_margins = np.zeros_like(gradient), np.zeros_like(margins)
        residual = -gradient
        enough = float(residual @ residual) * tolerance**2
        search = preconditioned = self._precondition(residual)
        search_margins = self.margins(search)
        squared = float(residual @ preconditioned)  # in the norm of the preconditioner
        for _ in range(max_iter):
            product = search + self.adjoint(curvature * search_margins)  # H search
            length = squared / float(search @ product)
            s = s + length * search
            s_margins = s_margins + length * search_margins
            residual = residual - length * product
            if residual @ residual <= enough:
                break
            preconditioned = self._precondition(residual)
            previous, squared = squared, float(residual @ preconditioned)
            search = preconditioned + squared / previous * search
            search_margins = self.margins(search)
        return s, s_margins

    def _refresh_preconditioner(self, curvature: np.ndarray) -> None:
        """Recompute the preconditioner if many pairs became active (curvature above 0) or inactive since the last time.

        With more columns than rows, use none, as its d x d numbers would take more memory than X.
        """
        rows, d = self.X.shape
        active, old = curvature > 0, self.preconditioner
        if d <= rows and (old is None or np.count_nonzero(old.active != active) > _STALE * np.count_nonzero(active)):
            self.preconditioner = old = None  # frees its memory first
            self.preconditioner = SampledHessian(self.X, self.pairs, curvature)

    def _precondition(self, r: np.ndarray) -> np.ndarray:
        return r if self.preconditioner is None else self.preconditioner.solve(r)

    def exact_step(self, w: np.ndarray, margins: np.ndarray, s: np.ndarray, s_margins: np.ndarray) -> float:
        """Return the t > 0 at which the objective is smallest along w + t s, for a descent direction s.

        margins, s_margins | (pairs,) | float64 | D w and D s

        The derivative with respect to t is continuous, increasing and piecewise linear, with a kink for each pair at
        t = (1 - D_p w) / D_p s. So the kinks are sorted, the coefficients of each piece a + b t between two of them are
        cumulative sums, and t is where a piece crosses 0.
        """
        slack, weight = 1 - margins, 2 * self.C * self.weights
        constant, slope = -weight * s_margins * slack, weight * s_margins**2  # of each pair while it is active
        active = (slack > 0) | ((slack == 0) & (s_margins < 0))
        bend = np.full_like(slack, -1.0)
        np.divide(slack, s_margins, out=bend, where=s_margins != 0)
        ahead = np.flatnonzero(bend > 0)
        ahead = ahead[np.argsort(bend[ahead], kind="stable")]
        turns = -np.sign(s_margins[ahead])  # a pair whose margin grows leaves the sum at its kink, others enter
        squared = float(s @ s)
        a = np.cumsum(np.append(w @ s + constant[active].sum(), turns * constant[ahead]))
        b = np.cumsum(np.append(squared + slope[active].sum(), turns * slope[ahead]))
        crossed = a[:-1] + b[:-1] * bend[ahead] >= 0  # the derivative at each kink
        piece = int(np.argmax(crossed)) if crossed.any() else len(ahead)
        return float(-a[piece] / max(b[piece], squared))  # b is at least this, despite rounding


def minimise(objective: PairwiseHinge, start: np.ndarray, *, tol: float, max_iter: int) -> Solution:
    """Minimise the objective by Newton steps until the norm of its gradient is at most `tol` times that at w = 0.

    It also ends once rounding keeps the objective from falling further, as converged, or after `max_iter` steps, as not
    converged.

    start | (d,) | float64 | 0, or the solution of a similar problem
    """
    w = start
    margins = objective.margins(w)
    value = objective.value(w, margins)
    zero = np.zeros_like(w)
    scale = float(np.linalg.norm(objective.gradient(zero, np.zeros_like(margins))))
    for steps in range(max_iter + 1):
        gradient = objective.gradient(w, margins)
        size = float(np.linalg.norm(gradient))
        if size <= tol * scale:
            return Solution(w, value, steps, True)
        if steps == max_iter:
            break
        s, s_margins = objective.newton_direction(gradient, margins, tolerance=min(0.1, (size / scale) ** 0.5))
        t = objective.exact_step(w, margins, s, s_margins)
        following = w + t * s
        margins = objective.margins(following)  # computed anew, so that rounding errors do not add up
        value_there = objective.value(following, margins)
        if not value_there < value:  # at the precision of the products: float32's, for float32 features
            return Solution(w, value, steps, True)
        w, value = following, value_there
    return Solution(w, value, max_iter, False)


class SampledHessian:
    """The preconditioner P = (1 + shift) I + sum_p h_p (x_better - x_worse)(x_better - x_worse)^T, factorised.

    The sum is over a sample of the pairs: all pairs with h_p > 0 if they are few, otherwise every n-th of them, with
    weights h_p scaled to the same sum. The shift keeps P positive definite despite rounding. Features of segmentations
    are strongly correlated, so plain conjugate gradients take hundreds of passes over X, and preconditioned ones a few.
    Omitted pairs cost iterations, not accuracy.

    X         | (rows, d) | float32 or float64 | P keeps its dtype
    curvature | (pairs,)  | float64            | h_p: 2 C c_p where the hinge is active, otherwise 0

    Source: Cholesky's factorisation; Nocedal and Wright, "Numerical Optimization", section 5.1, for its place in CG.
    """

    def __init__(self, X: np.ndarray, pairs: Pairs, curvature: np.ndarray) -> None:
        d = X.shape[1]
        self.active = curvature > 0
        among = np.flatnonzero(self.active)
        most = max(_PAIRS_PER_COLUMN * d, _FEWEST)
        if len(among) > most:
            among = among[np.linspace(0, len(among) - 1, most).astype(np.int64)]
        weights = curvature[among]
        if len(among) == most:
            weights *= curvature.sum() / weights.sum()
        P = np.zeros((d, d), X.dtype, order="F")  # its upper triangle
        add_product = get_blas_funcs("syrk", (P,))  # in place; P += D.T @ D would allocate a matrix
        for start in range(0, len(among), _BLOCK):
            block = among[start : start + _BLOCK]
            differences = X[pairs.better[block]]  # (block, d)
            differences -= X[pairs.worse[block]]
            differences *= np.sqrt(weights[start : start + _BLOCK])[:, None].astype(X.dtype)
            P = add_product(1.0, differences.T, beta=1.0, c=P, overwrite_c=True)
        P[np.diag_indices(d)] += 1 + _ROUNDING * np.finfo(X.dtype).eps * np.trace(P)
        self._factor = cho_factor(P, overwrite_a=True, check_finite=False)

    def solve(self, r: np.ndarray) -> np.ndarray:
        """Return P^-1 r: (d,) float64."""
        return np.asarray(cho_solve(self._factor, r.astype(self._factor[0].dtype), check_finite=False), np.float64)
