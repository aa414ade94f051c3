"""Accuracy of the best of the first m proposals, for several m, to compare ways of proposing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ConfigError
from tinysegrank.metrics import Confusion, image_confusions, iou_of_confusion, mean_of_present
from tinysegrank.metrics.corpus import in_step
from tinysegrank.proposals.divmbest import Proposal
from tinysegrank.voc import NUM_CLASSES

COUNTS = (1, 5, 10, 20, 30)


class OracleCurve(NamedTuple):
    """Accuracy of the oracle among the first m proposals, for each m of `counts`; m = 1 is the 1-best.

    Images that are void everywhere are left out of `image_iou`.

    counts    | (C,)   | int64   | m
    iou       | (C, K) | float64 | 0..1, corpus IoU of each class; NaN where it is neither in the truth nor in the picks
    mean      | (C,)   | float64 | 0..1, mean of `iou` over the classes in the truth
    listed    | (C,)   | float64 | 0..1, the same over those of the listed classes that are in the truth
    image_iou | (C,)   | float64 | 0..1, mean of each image's best IoU; only this one never falls as m grows
    """

    counts: NDArray[np.int64]
    iou: NDArray[np.float64]
    mean: NDArray[np.float64]
    listed: NDArray[np.float64]
    image_iou: NDArray[np.float64]


def oracle_confusions(
    truth: NDArray[np.integer],
    proposals: Sequence[Proposal] | NDArray[np.integer],
    counts: Sequence[int] = COUNTS,
    *,
    num_classes: int,
) -> NDArray[np.int64]:
    """Return the confusion matrix of an image's best proposal, by image IoU, among the first m, for each m of `counts`.

    truth     | (H, W)    | integer               | 0..K-1, or 255 where void
    proposals | (M, H, W) | integer, or Proposals | 0..K-1, in their order; at least one
    returns   | (C, K, K) | int64                 | pixels; row: true class

    Of equally good proposals the first is picked; if an image has fewer than m proposals, all are considered.

    Raises:
        ConfigError: there is no proposal, or no count, or one is below 1.
        ShapeError: the sizes differ.
    """
    if not counts or min(counts) < 1:
        raise ConfigError(f"counts: {list(counts)}; give numbers of proposals, each at least 1")
    if not len(proposals):
        raise ConfigError("proposals: there are none; an image needs at least one")
    labels = proposals if isinstance(proposals, np.ndarray) else np.stack([p.labels for p in proposals])
    confusions = image_confusions(truth, labels, num_classes=num_classes)  # (M, K, K)
    quality = np.nan_to_num(mean_of_present(confusions))  # (M,); an image all void picks the first
    return confusions[[int(np.argmax(quality[:m])) for m in counts]]


def oracle_curve(
    truths: Iterable[NDArray[np.integer]],
    proposals: Iterable[Sequence[Proposal] | NDArray[np.integer]],
    counts: Sequence[int] = COUNTS,
    classes: Sequence[int] | None = None,
    *,
    num_classes: int = NUM_CLASSES,
) -> OracleCurve:
    """Return the accuracy of the oracle among the first m proposals of each image, for each m of `counts`.

    Args:
        truths, proposals: one of each per image, see `oracle_confusions`; taken one at a time. Images may differ in M.
        counts: the numbers m.
        classes: the listed classes, over which a second mean is taken.

    To use worker processes, compute the `oracle_confusions` of each image there, and pass them to `curve_of`.
    `ranking.oracle_quality` gives the mean of image accuracies instead, from a table of them.

    Raises:
        ConfigError: there is no image, an image has no proposal, a count is below 1, or a class is out of range.
        ShapeError: the sizes differ, or the numbers of truths and of images with proposals differ.

    Paper: section 3.3, by the image IoU of the DivMBest release.
    """
    pairs = in_step(truths, proposals, "truths, proposals")
    picked = [oracle_confusions(truth, of_image, counts, num_classes=num_classes) for truth, of_image in pairs]
    if not picked:
        raise ConfigError("truths: there are none; give at least one image")
    return curve_of(np.stack(picked), counts, classes)


def curve_of(confusions: NDArray[np.int64], counts: Sequence[int], classes: Sequence[int] | None = None) -> OracleCurve:
    """Return the oracle's curve over N images from their `oracle_confusions` (N, C, K, K), all for the same counts.

    Raises:
        ConfigError: a class is out of range or duplicated.
    """
    total, by_image = confusions.sum(axis=0), mean_of_present(confusions)  # (C, K, K), (N, C)
    mean, listed = (np.array([mean_iou_of(matrix, chosen) for matrix in total]) for chosen in (None, classes))
    seen = by_image[~np.isnan(by_image).any(axis=1)]  # images with a pixel that is not void
    image_iou = seen.mean(axis=0) if len(seen) else np.full(len(counts), np.nan)
    return OracleCurve(np.array(counts), iou_of_confusion(total), mean, listed, image_iou)


def mean_iou_of(matrix: NDArray[np.int64], classes: Sequence[int] | None = None) -> float:
    """Return the mean IoU of a confusion matrix over the classes in its truth, or those of them that are listed."""
    return Confusion.of(matrix).mean_iou(classes=classes).value
