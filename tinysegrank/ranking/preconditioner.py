"""A preconditioner for the Newton systems of the pairwise hinge: the Hessian over a sample of pairs, factorised."""

from __future__ import annotations

import numpy as np

from tinysegrank.ranking.pairs import Pairs

_PAIRS_PER_COLUMN = 4  # 2 takes twice as many iterations, 10 twice as long to sum
_FEWEST = 1000  # pairs; if there are fewer, all are used
_BLOCK = 256  # differences computed at a time, so that they use little memory compared with X
_ROUNDING = 16  # machine epsilons added to the diagonal, so that P stays positive definite despite rounding


class SampledHessian:
    """P = (1 + shift) I + sum_p h_p (x_better - x_worse)(x_better - x_worse)^T, over a sample of the pairs.

    The features of segmentations are strongly correlated, so that plain conjugate gradients take hundreds of passes
    over X, while with P^-1 H a few are enough. P is only a preconditioner: omitted pairs cost iterations, not accuracy.
    The sample is every n-th pair with h_p > 0, weighted to have the same sum.

    X         | (rows, d) | float32 or float64 | P keeps its dtype
    curvature | (pairs,)  | float64            | h_p, 0 or more: 2 C c_p where the hinge is active

    Source: Cholesky's factorisation; Nocedal and Wright, "Numerical Optimization", section 5.1, for its place in CG.
    """

    def __init__(self, X: np.ndarray, pairs: Pairs, curvature: np.ndarray) -> None:
        from scipy.linalg import cho_factor, get_blas_funcs

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
        from scipy.linalg import cho_solve

        return np.asarray(cho_solve(self._factor, r.astype(self._factor[0].dtype), check_finite=False), np.float64)
