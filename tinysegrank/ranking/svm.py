"""Module 2's ranker: a linear SVM on pairs of proposals of one image."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tinysegrank.ranking.estimator import ConvexRanker
from tinysegrank.ranking.newton import PairwiseHinge, minimise
from tinysegrank.ranking.pairs import ranking_pairs


class RankSVM(ConvexRanker):
    """Linear ranking SVM with squared hinge loss, trained in the primal; larger decision values are better.

    It minimises 0.5 |w|^2 + C sum_p c_p max(0, 1 - w . (x_better - x_worse))^2 over pairs p of rows of one image,
    with c_p the difference in their quality.
    Features should be standardised first (`Standardizer`); features that are constant within each image cancel.

    Args:
        C: weight of the pairs' losses against the penalty on w.
        pairs: "oracle" pairs each image's best proposal with the others, "all" each proposal with every worse one.
        tol: stop at this norm of the gradient, relative to that at w = 0.
        max_iter: largest number of Newton steps; about ten are usual.
        warm_start: see `ConvexRanker`, also for the attributes.

    Paper: section 4, "SegNet+SVM", which leaves the pairs, their weights and C open.
    Source: Chapelle and Keerthi, "Efficient algorithms for ranking with SVMs", Information Retrieval 2010.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        pairs: Literal["oracle", "all"] = "oracle",
        tol: float = 1e-5,
        max_iter: int = 100,
        warm_start: bool = False,
    ) -> None:
        self.C = C
        self.pairs = pairs
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def _problem(self, X: np.ndarray, quality: np.ndarray, groups: np.ndarray) -> tuple[PairwiseHinge, int]:
        pairs = ranking_pairs(quality, groups, pairs=self.pairs)
        return PairwiseHinge(X, pairs, pairs.difference, self.C), len(pairs.difference)

    def _minimise(self, problem: PairwiseHinge, start: np.ndarray) -> str:
        solution = minimise(problem, start, tol=self.tol, max_iter=self.max_iter)
        self.coef_, self.objective_, self.n_iter_ = solution.w, solution.value, solution.steps
        steps = f"stopped after {solution.steps} Newton steps short of tol={self.tol}; raise max_iter or tol"
        return "" if solution.converged else steps
