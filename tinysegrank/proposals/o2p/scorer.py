"""Predict how well a segment overlaps with an object of each class: one support vector regression per class.

Targets are centred for each class and no bias is learnt, so a score is the predicted overlap above the mean of all
training rows. Source: Carreira, Caseiro, Batista and Sminchisescu, "Semantic segmentation with second-order pooling",
ECCV 2012; Carreira, Li and Sminchisescu, "Object recognition by sequential figure-ground ranking", IJCV 2012.
"""

from __future__ import annotations

import logging
from typing import NamedTuple, Self

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.fitted import About, Arrays, Fitted
from tinysegrank.proposals.o2p.segments import Segments
from tinysegrank.proposals.o2p.support_vectors import fit_regressions
from tinysegrank.stored_rows import RowFile, row_blocks
from tinysegrank.voc.objects import Objects

LOGGER = logging.getLogger(__name__)
GOOD = 0.5  # overlap above which a segment is an example of its object
FEWEST = 5  # a class with fewer good rows is not learnt


class TrainingRows(NamedTuple):
    """Training rows of one image: its segments, its true objects, and once more the best segments of objects.

    members | (N, S)   | bool    | superpixels of each row, at least one each
    targets | (N, K-1) | float32 | 0..1, largest overlap with an object of each of the classes 1..K-1
    objects | slice    | of rows | rows of true objects; the caller also describes their mirror images
    """

    members: np.ndarray
    targets: np.ndarray
    objects: slice


def training_rows(segments: Segments, objects: Objects, known: np.ndarray, *, num_classes: int) -> TrainingRows:
    """Return the training rows of one image.

    segments |        | Segments | segments of the image
    objects  |        | Objects  | true objects of the image, as from `find_objects`
    known    | (H, W) | bool     | pixels that are not void; only they count

    Returns:
        All segments; then each object, as the superpixels with more than half of their known pixels in it, if any; then
        a copy of the best segment of each object, if their overlap is above 0.5.

    Raises:
        ShapeError: objects or known are not of the segments' image, or a class is not in 1..`num_classes` - 1.
    """
    if len(objects.classes) and not 1 <= objects.classes.min() <= objects.classes.max() < num_classes:
        raise ShapeError(f"objects: classes must be in 1..{num_classes - 1}, got {np.unique(objects.classes)}")
    best = segments.overlaps_with(objects.masks, known=known)  # (R, O); also checks the sizes
    found = np.flatnonzero((best > GOOD).any(axis=0))
    again = best[:, found].argmax(axis=0) if len(found) else np.zeros(0, np.intp)
    true = _as_superpixels(segments, objects.masks, known)  # (T, S)
    members = np.concatenate([segments.members, true, segments.members[again]])  # (N, S)
    rows = Segments(segments.superpixels, members, np.zeros(len(members)))
    overlaps = rows.overlaps_with(objects.masks, known=known)  # (N, O)
    targets = np.zeros((len(members), num_classes - 1), np.float32)
    for k in np.unique(objects.classes):
        targets[:, k - 1] = overlaps[:, objects.classes == k].max(axis=1)
    return TrainingRows(members, targets, slice(len(segments), len(segments) + len(true)))


def _as_superpixels(segments: Segments, masks: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the superpixels with more than half of their known pixels in each mask: (T, S) bool, no row empty."""
    count, numbers = segments.members.shape[1], segments.superpixels[known]
    areas = np.bincount(numbers, minlength=count)  # (S,)
    inside = [np.bincount(numbers[mask[known]], minlength=count) * 2 > areas for mask in masks]
    rows = np.array(inside, np.bool_).reshape(len(masks), count)
    return rows[rows.any(axis=1)]


class SegmentScorer(
    Fitted, tag="tinysegrank segment scorer 1", shapes={"weights": ("K-1", "P"), "means": ("K-1",), "classes": ("C",)}
):
    """Predict the overlap of segments with objects of each class, minus the class's mean in training.

    Args:
        C: weight of the squared errors against half the squared length of the weights.
        epsilon: errors up to this size are not penalised.

    Attributes:
        weights_: (K-1, P) float32; zeros for a class not learnt.
        means_: (K-1,) float64, means of the targets fitted on.
        classes_: (C,) int64, the classes learnt, of 1..K-1: those with at least 5 rows whose overlap is above 0.5.

    Raises:
        ConfigError: an option is out of range.
    """

    def __init__(self, *, C: float = 3.0, epsilon: float = 0.25) -> None:
        if not 0 < C < float("inf") or not 0 <= epsilon < float("inf"):
            raise ConfigError(f"C must be above 0 and epsilon at least 0, both finite, got {C} and {epsilon}")
        self.C = C
        self.epsilon = epsilon

    def fit(self, features: np.ndarray | RowFile, targets: np.ndarray) -> Self:
        """Learn from the rows of all training images together.

        features | (N, P)   | float32  | finite; projected descriptions
        targets  | (N, K-1) | floating | 0..1, as from `training_rows`

        Raises:
            ShapeError: the arrays do not fit each other, are empty, or hold a number that is not finite.
        """
        if features.ndim != 2 or targets.ndim != 2 or len(features) != len(targets) or not all(features.shape):
            raise ShapeError(f"features (N, P) and targets (N, K-1) are needed, got {features.shape}, {targets.shape}")
        blocks = row_blocks(len(features))
        if not all(np.isfinite(features[rows]).all() for rows in blocks) or not np.isfinite(targets).all():
            raise ShapeError("features and targets must be finite")
        self.means_ = targets.mean(axis=0, dtype=np.float64)
        good = (targets > GOOD).sum(axis=0)
        self.classes_ = np.flatnonzero(good >= FEWEST) + 1
        self.weights_ = np.zeros((targets.shape[1], features.shape[1]), np.float32)
        for k in np.flatnonzero(good < FEWEST):
            LOGGER.info("class %d has %d segments with overlap above %g: not learnt", k + 1, good[k], GOOD)
        learnt = self.classes_ - 1
        options = {"centre": self.means_[learnt], "C": self.C, "epsilon": self.epsilon}
        for k, found in zip(learnt, fit_regressions(features, targets[:, learnt], **options), strict=True):
            if not found.converged:
                LOGGER.warning("class %d: the regression did not converge in %d steps", k + 1, found.steps)
            self.weights_[k] = found.w
        return self

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Predict the overlap of each segment with each class, minus the class's mean in training.

        features | (R, P)   | float32 | as fitted on
        returns  | (R, K-1) | float64 | of classes 1..K-1; for a class not learnt the prediction is an overlap of 0

        Raises:
            ShapeError: the number of columns differs from that in `fit`.
        """
        if features.ndim != 2 or features.shape[1] != self.weights_.shape[1]:
            raise ShapeError(f"features must be (R, {self.weights_.shape[1]}), got {features.shape}")
        scores = (features @ self.weights_.T).astype(np.float64)  # (R, K-1)
        unknown = np.setdiff1d(np.arange(len(self.means_)), self.classes_ - 1)
        scores[:, unknown] = -self.means_[unknown]
        return scores

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        arrays = {"weights": self.weights_, "means": self.means_, "classes": self.classes_}
        return arrays, {"C": repr(self.C), "epsilon": repr(self.epsilon)}

    @classmethod
    def _restore(cls, arrays: Arrays, about: About) -> Self:
        new = cls(C=float(about["C"]), epsilon=float(about["epsilon"]))
        new.weights_, new.means_, new.classes_ = arrays["weights"], arrays["means"], arrays["classes"]
        if not np.isin(new.classes_, np.arange(1, len(new.means_) + 1)).all():
            raise ValueError(f"classes {new.classes_} of {len(new.means_)}")
        return new
