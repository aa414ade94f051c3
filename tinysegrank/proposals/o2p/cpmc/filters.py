"""Select segments: those with low cut ratios, one of each group of near duplicates, in a diverse order."""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.o2p.cpmc.graph import Boundaries


def cut_ratios(members: np.ndarray, boundaries: Boundaries) -> np.ndarray:
    """Return the mean cost of the pixel pairs across each segment's border, which is small along strong edges.

    members | (R, S) | bool    | superpixels of each segment
    returns | (R,)   | float64 | 11..1011 by default, see `find_boundaries`; infinite for the whole image
    """
    parted = boundaries.crossed(members)  # (R, E)
    weight, length = parted @ boundaries.weight, parted @ boundaries.length
    return np.where(length > 0, weight / np.maximum(length, 1), np.inf)


def low_cut_ratios(ratios: np.ndarray, *, limit: float, least: int = 5) -> np.ndarray:
    """Return the indices of the segments with a cut ratio of at most `limit`, and always of the `least` smallest ones.

    ratios  | (R,) | floating | infinite for segments never to be kept
    returns | (K,) | intp     | ascending
    """
    rank = np.empty(len(ratios), np.intp)
    rank[np.argsort(ratios, kind="stable")] = np.arange(len(ratios))
    return np.flatnonzero(np.isfinite(ratios) & ((ratios <= limit) | (rank < least)))


def drop_duplicates(overlaps: np.ndarray, *, limit: float = 0.98) -> np.ndarray:
    """Keep, in order, each segment that overlaps none kept before it by more than `limit`; return their indices.

    overlaps | (R, R) | floating | intersection over union of each pair
    returns  | (K,)   | intp     | ascending
    """
    same = overlaps > limit
    dropped = np.zeros(len(overlaps), np.bool_)
    for i in range(len(overlaps)):
        if not dropped[i]:
            dropped[i + 1 :] |= same[i, i + 1 :]
    return np.flatnonzero(~dropped)


def best_of_clusters(overlaps: np.ndarray, ratios: np.ndarray, *, distance: float = 0.05) -> np.ndarray:
    """Cluster segments by single linkage, and return the index of the smallest cut ratio in each cluster.

    overlaps | (R, R) | floating | intersection over union of each pair
    ratios   | (R,)   | floating | cut ratio of each segment
    returns  | (K,)   | intp     | ascending; of equal ratios the first

    Clusters are the connected components of the graph of pairs whose 1 - IoU is at most `distance`.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    if not len(ratios):
        return np.zeros(0, np.intp)
    _, cluster = connected_components(csr_array(overlaps >= 1 - distance), directed=False)
    order = np.lexsort((np.arange(len(ratios)), ratios))  # the best first
    _, first = np.unique(cluster[order], return_index=True)
    return np.sort(order[first])


def diverse_order(scores: np.ndarray, overlaps: np.ndarray, *, count: int = 150, relevance: float = 0.75) -> np.ndarray:
    """Choose segments in turn, each maximising relevance * score - (1 - relevance) * largest overlap with those chosen.

    scores   | (R,)   | floating | larger is better
    overlaps | (R, R) | floating | intersection over union of each pair
    returns  | (K,)   | intp     | at most `count` indices, the best first; of equally good ones the first

    The first is the one with the largest score.

    Raises:
        ShapeError: the arrays do not fit each other.

    Source: Carbonell and Goldstein, "The use of MMR", SIGIR 1998, as CPMC uses it.
    """
    if overlaps.shape != (len(scores), len(scores)):
        raise ShapeError(f"overlaps {overlaps.shape} must be square, a row for each of {len(scores)} scores")
    value = relevance * scores.astype(np.float64)
    nearest = np.zeros(len(scores))
    free = np.ones(len(scores), np.bool_)
    chosen: list[int] = []
    while len(chosen) < min(count, len(scores)):
        worth = value - (1 - relevance) * nearest if chosen else scores.astype(np.float64)
        best = int(np.where(free, worth, -np.inf).argmax())
        chosen.append(best)
        free[best] = False
        nearest = np.maximum(nearest, overlaps[best])
    return np.array(chosen, np.intp)
