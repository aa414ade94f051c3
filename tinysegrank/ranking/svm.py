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

    An image's number is metadata to scikit-learn, so cross-validation hands it on where it is asked to:

        >>> import numpy as np, sklearn
        >>> from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
        >>> from tinysegrank.ranking import RankSVM
        >>> rng = np.random.default_rng(0)
        >>> groups = np.repeat(np.arange(40), 10)  # ten proposals of each of 40 images
        >>> X = rng.standard_normal((400, 5))
        >>> quality = X @ [0.3, 0.2, 0, 0, -0.1] + rng.standard_normal(400) / 5
        >>> with sklearn.config_context(enable_metadata_routing=True):
        ...     svm = RankSVM(C=1e-3).set_fit_request(groups=True).set_score_request(groups=True)
        ...     scores = cross_val_score(svm, X, quality, params={"groups": groups}, cv=GroupKFold(5))
        ...     search = GridSearchCV(svm, {"C": [1e-6, 1e-3]}, cv=GroupKFold(5)).fit(X, quality, groups=groups)
        >>> scores.shape, bool((scores > quality.mean()).all())
        ((5,), True)
        >>> search.best_params_
        {'C': 0.001}

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
