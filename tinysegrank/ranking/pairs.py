"""Constraints of the ranking SVM: pairs of proposals of which one should rank above the other."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.oracle import check_groups, pick


class Pairs(NamedTuple):
    """Pairs of rows of one group, the better one first.

    better     | (pairs,) | int64   | row
    worse      | (pairs,) | int64   | row
    difference | (pairs,) | float64 | quality of the better row minus that of the worse
    """

    better: np.ndarray
    worse: np.ndarray
    difference: np.ndarray


def ranking_pairs(
    quality: np.ndarray,
    groups: np.ndarray,
    *,
    pairs: Literal["oracle", "all"] = "oracle",
    min_difference: float = 1e-3,
) -> Pairs:
    """List the pairs of rows of one group whose qualities differ by at least `min_difference`.

    quality | (rows,) | floating | accuracy of the proposal alone
    groups  | (rows,) | integer  | number of the row's image; its rows need not be adjacent

    Args:
        pairs: "oracle" pairs the best row of each group (of equals the first) with each other row; "all" pairs each
            row with each worse one.
        min_difference: smallest difference kept, above 0, so that no pair has equal quality.

    Raises:
        ShapeError: the arrays do not fit, a quality is not finite, or an option is unknown or out of range.

    Source: the constraints of Yadollahpour et al. (CVPR 2013) for "oracle", those of Joachims (KDD 2002) for "all".
    """
    quality, groups = check_groups("quality", quality, groups)
    if not np.isfinite(quality).all():
        raise ShapeError("quality: holds infinity; give accuracies")
    if not min_difference > 0:
        raise ShapeError(f"min_difference: {min_difference} is not above 0; equals cannot be ranked")
    if pairs == "oracle":
        _, group = np.unique(groups, return_inverse=True)
        better, worse = pick(quality, groups)[group], np.arange(len(quality))
    elif pairs == "all":
        better, worse = _all_within_groups(groups)
    else:
        raise ShapeError(f"pairs: {pairs!r} is neither 'oracle' nor 'all'")
    difference = quality[better] - quality[worse]
    kept = difference >= min_difference
    return Pairs(better[kept], worse[kept], difference[kept])


def _all_within_groups(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all ordered pairs of distinct rows within groups."""
    order = np.argsort(groups, kind="stable")
    size = np.unique(groups, return_counts=True)[1]  # (groups,)
    start = np.cumsum(size) - size
    partners = np.repeat(size, size)  # number of rows in the group of each row, in order
    first = np.repeat(np.arange(len(order)), partners)
    # the second row runs once through the group for each first row
    turn = np.arange(len(first)) - np.repeat(np.cumsum(partners) - partners, partners)
    second = np.repeat(np.repeat(start, size), partners) + turn
    distinct = first != second
    return order[first[distinct]], order[second[distinct]]
