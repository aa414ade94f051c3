"""Accuracy of the best of the first m proposals, for several m, to compare ways of proposing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

    counts    | (C,)   | int64   | m
    iou       | (C, K) | float64 | 0..1, corpus IoU of each class; NaN where it is neither in the truth nor in the picks
    mean      | (C,)   | float64 | 0..1, mean of `iou` over the classes in the truth
    listed    | (C,)   | float64 | 0..1, the same over those of the listed classes that are in the truth
    image_iou | (C,)   | float64 | 0..1, mean over images of the best image IoU; only this one never falls as m grows
    """

    counts: NDArray[np.int64]
    iou: NDArray[np.float64]
    mean: NDArray[np.float64]
    listed: NDArray[np.float64]
    image_iou: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OracleTally:
    """Sums over the oracle's picks on some images; `+` adds the tally of other images.

    confusions | (C, K, K) | int64   | confusion matrices of the proposals picked; row: true class
    image_ious | (C,)      | float64 | sum over images of the image IoU of the proposal picked

    Args:
        counts: C values of m; for each, the oracle picks from the first m proposals.
        images: number of images with a pixel that is not void.
    """

    counts: tuple[int, ...]
    confusions: NDArray[np.int64]
    image_ious: NDArray[np.float64]
    images: int

    def __add__(self, other: OracleTally) -> OracleTally:
        """Return the tally of both sets of images together.

        Raises:
            ConfigError: the two were made for different counts or numbers of classes.
        """
        if self.counts != other.counts or self.confusions.shape != other.confusions.shape:
            raise ConfigError(
                f"counts {self.counts} and {other.counts}, or the numbers of classes, differ; make all tallies alike"
            )
        return OracleTally(
            self.counts,
            self.confusions + other.confusions,
            self.image_ious + other.image_ious,
            self.images + other.images,
        )

    def curve(self, classes: Sequence[int] | None = None) -> OracleCurve:
        """Return the oracle's accuracies for each count.

        Args:
            classes: the listed classes; all if not given.

        Raises:
            ConfigError: a class is out of range or duplicated.
        """
        mean, listed = (
            np.array([mean_iou_of(matrix, chosen) for matrix in self.confusions]) for chosen in (None, classes)
        )
        image_iou = self.image_ious / self.images if self.images else np.full(len(self.counts), np.nan)
        return OracleCurve(np.array(self.counts), iou_of_confusion(self.confusions), mean, listed, image_iou)


def oracle_tally(
    truth: NDArray[np.integer],
    proposals: Sequence[Proposal] | NDArray[np.integer],
    counts: Sequence[int] = COUNTS,
    *,
    num_classes: int = NUM_CLASSES,
) -> OracleTally:
    """Tally one image: its best proposal, by image IoU, among the first m, for each m of `counts`.

    truth     | (H, W)    | integer             | 0..K-1, or 255 where void
    proposals | (M, H, W) | integer, or Proposals | 0..K-1, in their order; at least one

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
    picks = [int(np.argmax(quality[:m])) for m in counts]
    return OracleTally(tuple(counts), confusions[picks], quality[picks], int(confusions[0].any()))


def oracle_curve(
    truths: Iterable[NDArray[np.integer]],
    proposals: Iterable[Sequence[Proposal] | NDArray[np.integer]],
    counts: Sequence[int] = COUNTS,
    classes: Sequence[int] | None = None,
    *,
    num_classes: int = NUM_CLASSES,
) -> OracleCurve:
    """Return the corpus IoU of the oracle among the first m proposals of each image, for each m of `counts`.

    Args:
        truths, proposals: one of each per image, see `oracle_tally`; taken one at a time. Images may differ in M.
        counts: the numbers m.
        classes: the listed classes, over which a second mean is taken.

    To use worker processes, compute an `oracle_tally` of each image, add them up, and take the `curve` of the sum.
    `ranking.oracle_quality` gives the mean of image accuracies instead, from a table of them.

    Raises:
        ConfigError: there is no image, an image has no proposal, a count is below 1, or a class is out of range.
        ShapeError: the sizes differ, or the numbers of truths and of images with proposals differ.

    Paper: section 3.3, by the image IoU of the DivMBest release.
    """
    total = None
    for truth, of_image in in_step(truths, proposals, "truths, proposals"):
        tally = oracle_tally(truth, of_image, counts, num_classes=num_classes)
        total = tally if total is None else total + tally
    if total is None:
        raise ConfigError("truths: there are none; give at least one image")
    return total.curve(classes)


def mean_iou_of(matrix: NDArray[np.int64], classes: Sequence[int] | None = None) -> float:
    """Return the mean IoU of a confusion matrix over the classes in its truth, or those of them that are listed."""
    return Confusion.of(matrix).mean_iou(classes=classes).value
