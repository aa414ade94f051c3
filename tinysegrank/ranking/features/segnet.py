"""Block 1 of a proposal's features: its agreement with SegNet, as divergences and as expected overlaps of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinysegrank.ranking.distance import kl_divergences
from tinysegrank.ranking.features.block import Block
from tinysegrank.voc import CLASS_NAMES

_EMPTY_INTERSECTION = 1e-3  # cells; keeps U / I finite where a class is missing
_LARGEST_INVERSE = 1e3  # U / I above this is cut off


def segnet_feature_names(class_names: Sequence[str] = CLASS_NAMES) -> tuple[str, ...]:
    """Return the names of the columns of `segnet_features`: 2 divergences, then each of 4 overlaps for all classes."""
    overlaps = ("intersection", "union", "intersection_over_union", "union_over_intersection")
    per_class = tuple(f"{overlap}_{name}" for overlap in overlaps for name in class_names)
    return ("kl_segnet_to_proposal", "kl_proposal_to_segnet", *per_class)


def segnet_features(coarse: np.ndarray, proposals: np.ndarray, *, eps: float = 1e-3) -> np.ndarray:
    """Describe each proposal of an image by its agreement with SegNet's coarse labelling.

    The columns are the Kullback-Leibler divergences D(segnet || proposal) and D(proposal || segnet), summed over cells;
    the expected intersections I of all classes, in cells; their expected unions U; all I / U, 0 where U is 0; and all
    log(1 + min(U / (I + 0.001), 1000)), as U / I is infinite for a missing class. I is the sum over cells of the
    product of the two shares of a class, and U the sum over cells of both shares, minus I.

    coarse    | (h, w, K)     | floating | SegNet's distribution of each cell
    proposals | (M, h, w, K)  | floating | share of each class in the cell
    returns   | (M, 2 + 4 K)  | float32  | 86 columns for the 21 classes of VOC

    Args:
        eps: smoothing of the divergences, as in `kl_divergences`.

    Raises:
        ShapeError: see `kl_divergences`.

    Paper: section 4, "Segmentation features"; the guards of U / I are ours.
    """
    divergences = np.stack(kl_divergences(coarse, proposals, eps=eps), axis=1)  # (M, 2)
    p, q = np.asarray(coarse, np.float64), np.asarray(proposals, np.float64)
    intersection = (p * q).sum(axis=(1, 2))  # (M, K)  # Eq. 24
    union = p.sum(axis=(0, 1)) + q.sum(axis=(1, 2)) - intersection  # (M, K)  # Eq. 29
    ratio = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)  # (M, K)
    inverse = np.log1p(np.minimum(union / (intersection + _EMPTY_INTERSECTION), _LARGEST_INVERSE))  # (M, K)
    return np.concatenate([divergences, intersection, union, ratio, inverse], axis=1).astype(np.float32)


BLOCK = Block(segnet_feature_names, lambda of: segnet_features(of.coarse, of.cells, eps=of.eps))
