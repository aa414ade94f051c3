"""Constraints of the ranking SVM: pairs of proposals of which one should rank above the other."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.oracle import check_groups, pick, run_starts

MIN_DIFFERENCE = 1e-3


class Pairs(NamedTuple):
    """Pairs of same-group rows, the better one first.

    better     | (pairs,) | int64   | row
    worse      | (pairs,) | int64   | row
    difference | (pairs,) | float64 | quality of the better row minus that of the worse
    """

    better: np.ndarray
    worse: np.ndarray
    difference: np.ndarray


def ranking_pairs(quality: np.ndarray, groups: np.ndarray, *, pairs: Literal["oracle", "all"] = "oracle") -> Pairs:
    """List the pairs of rows of one group whose qualities differ by at least MIN_DIFFERENCE.

    quality | (rows,) | floating | accuracy of the proposal alone
    groups  | (rows,) | integer  | number of the row's image; its rows need not be adjacent

    Args:
        pairs: "oracle" pairs the best row of each group (of equals the first) with each other row; "all" pairs each
            row with each worse one.

    Raises:
        ShapeError: the arrays do not fit, a quality is not finite, or `pairs` is unknown.

    Source: the constraints of Yadollahpour et al. (CVPR 2013) for "oracle", those of Joachims (KDD 2002) for "all".
    """
    quality, groups = check_groups("quality", quality, groups)
    if not np.isfinite(quality).all():
        raise ShapeError("quality: holds infinity; give accuracies")
    if pairs == "oracle":
        _, group = np.unique(groups, return_inverse=True)
        better, worse = pick(quality, groups)[group], np.arange(len(quality))
    elif pairs == "all":
        order = np.argsort(groups, kind="stable")
        rows_of = np.split(order, run_starts(groups[order])[1:])  # the rows of each group
        better = np.concatenate([np.repeat(rows, len(rows)) for rows in rows_of])
        worse = np.concatenate([np.tile(rows, len(rows)) for rows in rows_of])
    else:
        raise ShapeError(f"pairs: {pairs!r} is neither 'oracle' nor 'all'")
    difference = quality[better] - quality[worse]
    kept = difference >= MIN_DIFFERENCE
    return Pairs(better[kept], worse[kept], difference[kept])
