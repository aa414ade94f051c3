"""The alternative ranker: a structural SVM with slacks rescaled by how much worse a proposal is than the oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.cutting_planes import minimise_by_planes
from tinysegrank.ranking.estimator import ConvexRanker
from tinysegrank.ranking.oracle import check_groups, pick, rank_in_group


class StructuralSVM(ConvexRanker):
    """Structural SVM with slack rescaling; larger decision values are better.

    With y* the best of an image's proposals, x(y) the features of proposal y, and L(y) the accuracy of y* minus that
    of y, it minimises

        0.5 |w|^2 + (C / n) sum_i xi_i   with   w . (x_i(y*) - x_i(y)) >= 1 - xi_i / L_i(y),   xi_i >= 0

    over the n images, so that a proposal nearly as good as the oracle may rank above it at little cost. The most
    violated of an image's constraints is found among all its proposals. Features should be standardised first. Of
    equally good best rows the first is compared with the worse ones. An image with rows of equal quality has no
    constraints but counts in n.

    Args:
        C: weight of the mean slack against the penalty on w.
        tol: stop at this duality gap, relative to the lower bound on the objective.
        max_iter: largest number of cutting planes; tens to hundreds are usual, more for larger C.
        warm_start: see `ConvexRanker`, also for the other attributes.

    Attributes:
        bounds_: (n_iter_, 2) float64, the lower and upper bound on the optimum after each; the former never falls,
            the latter never rises.

    Source: Tsochantaridis et al., "Large margin methods for structured and interdependent output variables", JMLR 2005
    (slack rescaling); Yadollahpour, Batra and Shakhnarovich, "Discriminative re-ranking of diverse segmentations",
    CVPR 2013 (the loss relative to the oracle in the set), as far as the paper says; C and tol are our choice.
    """

    def __init__(self, *, C: float = 10.0, tol: float = 1e-3, max_iter: int = 1000, warm_start: bool = False) -> None:
        self.C = C
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def _problem(self, X: np.ndarray, quality: np.ndarray, groups: np.ndarray) -> tuple[SlackRescaling, int]:
        risk, self.bounds_ = SlackRescaling(X, quality, groups), np.zeros((0, 2))
        return risk, int(np.count_nonzero(risk.loss))

    def _minimise(self, problem: SlackRescaling, start: np.ndarray) -> str:
        solution = minimise_by_planes(problem, start, self.C, tol=self.tol, max_iter=self.max_iter)
        self.coef_, self.bounds_, self.n_iter_ = solution.w, solution.bounds, len(solution.bounds)
        lower, self.objective_ = (float(bound) for bound in solution.bounds[-1])
        between = f"with the optimum between {lower:g} and {self.objective_:g}; raise max_iter or tol={self.tol}"
        return "" if solution.converged else f"stopped after {self.max_iter} planes {between}"


class SlackRescaling:
    """The risk R(w) = mean over images of max_y L(y) (1 - w . (x(y*) - x(y))); it is 0 or more, as L(y*) = 0.

    best | (n,)   | int64   | row of y* of each image
    rows | (n, M) | int64   | row of each proposal; padded with y* if an image has fewer than M
    loss | (n, M) | float64 | L, 0 or more
    """

    def __init__(self, X: np.ndarray, quality: np.ndarray, groups: np.ndarray) -> None:
        quality, groups = check_groups("quality", quality, groups)
        if not np.isfinite(quality).all():
            raise ShapeError("quality: holds infinity; give accuracies")
        names, group = np.unique(groups, return_inverse=True)
        rank = rank_in_group(groups)
        self.X, self.best = X, pick(quality, groups)
        self.rows = np.repeat(self.best[:, None], rank.max(initial=0) + 1, axis=1)  # (n, M)
        self.rows[group, rank] = np.arange(len(quality))
        self.loss = quality[self.best][:, None] - quality[self.rows]
        self._image = np.arange(len(names))

    def scores(self, w: np.ndarray) -> np.ndarray:
        """Return X w: (rows,) float64."""
        return np.asarray(self.X @ w.astype(self.X.dtype), np.float64)

    def violations(self, scores: np.ndarray) -> np.ndarray:
        """Return L(y) (1 - [s(y*) - s(y)]) of every proposal y: (n, M) float64."""
        return self.loss * (1 - scores[self.best][:, None] + scores[self.rows])

    def value(self, scores: np.ndarray) -> float:
        """Return R at these scores."""
        return float(self.violations(scores).max(axis=1).mean())

    def plane(self, scores: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the plane R(w) >= b - a . w from the most violated constraint of each image: a (d,) float64, and b."""
        worst = self.violations(scores).argmax(axis=1)  # (n,)
        loss = self.loss[self._image, worst]
        weights = loss.astype(self.X.dtype)
        a = weights @ self.X[self.best] - weights @ self.X[self.rows[self._image, worst]]  # (d,)
        return np.asarray(a, np.float64) / len(loss), float(loss.mean())

    def slopes(self, scores: np.ndarray, direction: np.ndarray) -> Callable[[float], float]:
        """Return the slope of R along scores + t * direction, as a function of t.

        R is then the mean over images of the largest of M linear functions of t.
        """
        constant = self.violations(scores)  # (n, M)
        linear = self.loss * (direction[self.rows] - direction[self.best][:, None])  # (n, M)

        def slope(t: float) -> float:
            worst = (constant + t * linear).argmax(axis=1)[:, None]  # (n, 1)
            return float(np.take_along_axis(linear, worst, axis=1).mean())

        return slope
