"""Distance of a proposal from SegNet's coarse labelling: symmetric KL divergence and a background penalty."""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.voc import BACKGROUND


def proposal_distance(
    coarse: np.ndarray, proposal: np.ndarray, *, eps: float = 1e-3, background_weight: float = 0.02
) -> np.ndarray:
    """Measure how far one proposal, or each of a stack, is from SegNet's distributions; smaller is better.

    The distance is the sum over cells i of D(p_i || q_i) + D(q_i || p_i) + background_weight * q_i0, where D is the
    divergence of smoothed distributions, see `kl_divergences`, and q_i0 the background's share, not smoothed.

    coarse   | (h, w, K)                    | floating | SegNet's distribution of each cell, p
    proposal | (h, w, K) or (M, h, w, K)    | floating | share of each class in the cell, q
    returns  | () or (M,)                   | float64  | 0 or more, in nats

    Args:
        eps: share of the uniform distribution in the smoothing, above 0 and below 1.
        background_weight: weight of the background's share, 0 or more.

    Raises:
        ShapeError: the arrays do not fit or are not distributions, or an option is out of range.

    Paper: Eq. 17; the smoothing, without which the sum is infinite, is our choice.
    """
    if not (np.isfinite(background_weight) and background_weight >= 0):
        raise ShapeError(f"background_weight: {background_weight} is not a finite number, 0 or more")
    forward, backward = kl_divergences(coarse, proposal, eps=eps)
    background = np.asarray(proposal)[..., BACKGROUND].sum(axis=(-2, -1), dtype=np.float64)
    return np.asarray(forward + backward + background_weight * background)  # Eq. 17


def kl_divergences(coarse: np.ndarray, proposal: np.ndarray, *, eps: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """Compute the Kullback-Leibler divergences, in both directions, of distributions smoothed to have no zeros.

    Both are first mixed with the uniform distribution, q <- (1 - eps) q + eps / K, since the exact zeros of a proposal
    would make D(p || q) infinite.

    coarse   | (h, w, K)                 | floating | SegNet's distribution of each cell, p
    proposal | (h, w, K) or (M, h, w, K) | floating | share of each class in the cell, q
    returns  | 2 of () or (M,)           | float64  | sum over cells of D(p || q), then of D(q || p), in nats

    Args:
        eps: share of the uniform distribution, above 0 and below 1.

    Raises:
        ShapeError: the arrays do not fit or are not distributions, or eps is out of range.

    Paper: the divergences of Eq. 17, each direction a feature in section 4.
    """
    if not 0 < eps < 1:
        raise ShapeError(f"eps: {eps} is outside the open interval 0..1; the default is 1e-3")
    p, q = np.asarray(coarse, np.float64), np.asarray(proposal, np.float64)
    if p.ndim != 3 or p.size == 0 or q.ndim not in (3, 4) or q.shape[-3:] != p.shape:
        raise ShapeError(f"proposal: shape {q.shape} does not fit coarse of {p.shape}; give (h, w, K) or (M, h, w, K)")
    for name, cells in (("coarse", p), ("proposal", q)):
        # a NaN fails both comparisons
        if not ((cells >= 0).all() and (np.abs(cells.sum(axis=-1) - 1) < 1e-3).all()):
            raise ShapeError(
                f"{name}: a cell is not a distribution; give shares that sum to 1 (voc.soft_targets of labels without "
                "void makes them)"
            )
    p, q = ((1 - eps) * cells + eps / cells.shape[-1] for cells in (p, q))
    difference = np.log(p) - np.log(q)  # (..., h, w, K)
    each = (-3, -2, -1)
    return (p * difference).sum(axis=each), -(q * difference).sum(axis=each)
