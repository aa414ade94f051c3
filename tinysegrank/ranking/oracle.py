"""Pick the best row of each group, by a score or (the oracle) by true quality; pair better rows with worse ones.

A row is a proposal, and a group the proposals of one image.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from tinysegrank.errors import ShapeError

MIN_DIFFERENCE = 1e-3  # in quality, of a pair


def pick(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Pick the row with the largest score of each group; of equal scores the first row wins.

    scores  | (rows,)   | floating | larger is better, such as -`proposal_distance`
    groups  | (rows,)   | integer  | number of the row's image; its rows need not be adjacent
    returns | (groups,) | int64    | index of a row of each group, in the order of the groups' numbers

    Raises:
        ShapeError: the arrays do not fit, groups are not integers, or a score is NaN.
    """
    scores, groups = check_groups("scores", scores, groups)
    order = np.lexsort((-scores, groups))  # stable, so that the first of equals stays first
    return order[run_starts(groups[order])]


def oracle_picks(quality: np.ndarray, groups: np.ndarray, *, first: int | None = None) -> np.ndarray:
    """Pick the most accurate row of each group, or of its first few rows; of equals the first wins.

    quality | (rows,)   | floating | accuracy of the proposal alone (metrics.image_iou)
    groups  | (rows,)   | integer  | number of the row's image
    returns | (groups,) | int64    | index of a row of each group, in the order of the groups' numbers

    Args:
        first: number of rows at the start of each group to pick from; all by default.

    Raises:
        ShapeError: the arrays do not fit, groups are not integers, an accuracy is NaN, or `first` is below 1.

    Paper: section 3.3; equals as in the release of DivMBest.
    """
    if first is None:
        return pick(quality, groups)
    if first < 1:
        raise ShapeError(f"first: {first} rows of each group; give 1 or more")
    quality, groups = check_groups("quality", quality, groups)
    rows = np.flatnonzero(rank_in_group(groups) < first)
    return rows[pick(quality[rows], groups[rows])]


def oracle_quality(quality: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the mean over groups of the best accuracy among a group's first m rows, for m = 1, 2, ... M.

    quality | (rows,) | floating | accuracy of the proposal alone
    groups  | (rows,) | integer  | number of the row's image
    returns | (M,)    | float64  | M is the size of the largest group; a smaller one keeps the accuracy of its best row

    Raises:
        ShapeError: the arrays do not fit, groups are not integers, or an accuracy is NaN.

    Paper: section 3.3, the accuracy of the oracle against the number of proposals.
    """
    quality, groups = check_groups("quality", quality, groups)
    if not len(groups):
        return np.zeros(0)
    names, group = np.unique(groups, return_inverse=True)
    rank = rank_in_group(groups)
    table = np.full((len(names), rank.max() + 1), -np.inf)
    table[group, rank] = quality  # (groups, M)
    return np.maximum.accumulate(table, axis=1).mean(axis=0)


class Pairs(NamedTuple):
    """Pairs of rows of the same group.

    better, worse | (pairs,) | int64   | index of the row with the higher quality, and with the lower
    difference    | (pairs,) | float64 | quality of the better row minus that of the worse
    """

    better: np.ndarray
    worse: np.ndarray
    difference: np.ndarray


def ranking_pairs(quality: np.ndarray, groups: np.ndarray, *, pairs: Literal["oracle", "all"] = "oracle") -> Pairs:
    """List pairs of rows of the same group whose qualities differ by at least 0.001.

    quality | (rows,) | floating | accuracy of the proposal alone
    groups  | (rows,) | integer  | number of the row's image; its rows need not be adjacent

    Args:
        pairs: "oracle" pairs the best row of each group (of equals the first) with each other row; "all" pairs each
            row with each worse one.

    Raises:
        ShapeError: the arrays do not fit, groups are not integers, a quality is not finite, or `pairs` is unknown.

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


def rank_in_group(groups: np.ndarray) -> np.ndarray:
    """Number the rows of each group in row order.

    groups  | (rows,) | integer | number of the row's image; its rows need not be adjacent
    returns | (rows,) | int64   | 0, 1, ... within the row's group
    """
    order = np.argsort(groups, kind="stable")
    starts = run_starts(groups[order])
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
    return rank


def check_groups(name: str, values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check that there is one value, not NaN, and one integer group per row; return values as float64, and groups.

    Raises:
        ShapeError: there is not; `name` is the name of `values` in the message.
    """
    values, groups = np.asarray(values, np.float64), np.asarray(groups)
    if values.ndim != 1 or groups.shape != values.shape:
        raise ShapeError(f"{name}, groups: shapes {values.shape} and {groups.shape}; give one number per row in each")
    if not np.issubdtype(groups.dtype, np.integer):
        raise ShapeError(f"groups: dtype {groups.dtype} is not integer; number the images")
    if np.isnan(values).any():
        rows = np.flatnonzero(np.isnan(values))
        raise ShapeError(
            f"{name}: NaN in {len(rows)} rows, the first {rows[0]} of group {groups[rows[0]]}; leave out images whose "
            "truth is all void"
        )
    return values, groups


def run_starts(ordered: np.ndarray) -> np.ndarray:
    """Return the index at which each run of equal numbers starts: (n,) integers -> (runs,)."""
    return np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
