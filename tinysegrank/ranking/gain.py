"""Marginal gain in corpus IoU from picking a proposal, used as training target instead of its own IoU.

Corpus IoU adds up the pixels of all images before it divides. So an image matters by its size and by how rare its
classes are, and false positives count by their pixels. Image IoU, the paper's quality of a proposal, has neither
property.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.oracle import check_confusions
from tinysegrank.stored_rows import StoredRows, row_blocks


def corpus_gains(
    confusions: np.ndarray | StoredRows,
    groups: np.ndarray,
    at: np.ndarray,
    *,
    classes: Sequence[int] | None = None,
) -> np.ndarray:
    """Score each row by how picking it would change the picks' mean corpus IoU, to first order.

    With I and U the pixels of the intersection and union of each class over the picks `at`, and i and u those of a row,
    dI/U - I dU/U^2 is the change of I/U. So the gain of a row is the mean over the classes of i/U - I u/U^2, times the
    number of images; only differences between rows of one image are meaningful.

    confusions | (rows, K, K) | integer | pixels of the proposal alone (metrics.image_confusions)
    groups     | (rows,)      | integer | number of the row's image
    at         | (images,)    | integer | row picked in each image, at which the derivative is taken
    returns    | (rows,)      | float64 | larger is better

    Args:
        classes: classes to average over; all by default. Those in neither the truth nor the picks are skipped.

    Raises:
        ShapeError: the arrays do not fit, or none of the classes is present.
    """
    groups, at = np.asarray(groups), np.asarray(at)
    confusions = check_confusions(confusions, groups)
    if not np.array_equal(np.sort(groups[at]), np.unique(groups)):
        raise ShapeError("at: give one row of each image")
    inside, union = np.empty((2, *confusions.shape[:2]))  # (rows, K) each
    for rows in row_blocks(len(groups)):
        some = confusions[rows]
        inside[rows] = np.einsum("nkk->nk", some)
        union[rows] = some.sum(axis=1) + some.sum(axis=2) - inside[rows]
    total_inside, total_union = inside[at].sum(axis=0), union[at].sum(axis=0)  # (K,)
    asked = np.arange(len(total_union)) if classes is None else np.asarray(classes)
    counted = asked[total_union[asked] > 0]
    if len(counted) == 0:
        raise ShapeError("classes: none is in these images or picks; choose others")
    inside, union = inside[:, counted], union[:, counted]
    total_inside, total_union = total_inside[counted], total_union[counted]
    gains = (inside / total_union - union * total_inside / total_union**2).mean(axis=1)
    return gains * len(at)
