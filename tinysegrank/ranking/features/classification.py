"""Block 2 of a proposal's features: image classifiers' scores, gated by the classes that it contains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.ranking.features.block import Block, ImageProposals
from tinysegrank.ranking.image_classifier import PERCENTILES
from tinysegrank.voc import CLASS_NAMES, NUM_CLASSES
from tinysegrank.voc.labels import check_labels

UNGATED = "classification_ungated"
"""Name of the block of the classifiers' scores as the paper has them, the same for all proposals of an image."""


def classification_feature_names(class_names: Sequence[str] = CLASS_NAMES) -> tuple[str, ...]:
    """Return the columns' names of `classification_features`: all classes but background, then four sizes of each."""
    own = class_names[1:]
    sizes = (f"size_{percent}_score_{name}" for name in own for percent in PERCENTILES)
    return (*(f"class_score_{name}" for name in own), *sizes)


def class_shares(labels: np.ndarray, *, num_classes: int = NUM_CLASSES) -> np.ndarray:
    """Compute the share of each class but background among the non-void pixels of each label map.

    labels  | (M, H, W) | integer | 0..K-1, or 255 where void
    returns | (M, K-1)  | float64 | 0..1, of classes 1..K-1; all 0 if the whole map is void

    Raises:
        ShapeError: the array is not three-dimensional, or not of integers.
        DatasetError: a label is neither a class nor void.
    """
    if np.ndim(labels) != 3:
        raise ShapeError(f"labels: shape {np.shape(labels)} is not (M, H, W)")
    labels = check_labels(labels, num_classes=num_classes)
    counts = np.array([np.bincount(one.ravel(), minlength=256)[:num_classes] for one in labels])
    counts = counts.reshape(len(labels), num_classes)  # (M, K)
    return counts[:, 1:] / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def classification_features(scores: np.ndarray, thresholds: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Gate the classifiers' scores of an image by the classes and sizes in each of its proposals.

    The score of class c is kept if the proposal contains c, otherwise it becomes 0. The score of size j of class c is
    kept if c covers at least the share thresholds[c - 1, j] of the proposal, otherwise it is negated. So a proposal is
    rewarded for classes that the classifiers confirm, and penalised for those that they deny.

    Without gates, as the paper words it, the scores are the same for all proposals of the image. A linear ranker learns
    from differences within images, where they cancel, and gives them weight 0.

    scores     | (5 (K-1),)    | floating | a row of `ImageClassifier.scores`
    thresholds | (K-1, 4)      | floating | `ImageClassifier.thresholds`
    shares     | (M, K-1)      | floating | share of each class but background in each proposal, from `class_shares`
    returns    | (M, 5 (K-1))  | float32  | in the order of `scores`; 100 columns for the 21 classes of VOC

    Raises:
        ShapeError: the arrays do not fit each other, or a score is not finite.

    Paper: section 4, "CNN Classification". The gate of the class scores is that of the DivMBest release; that of the
    sizes is ours.
    """
    classes = shares.shape[1] if shares.ndim == 2 else 0
    if scores.shape != (5 * classes,) or thresholds.shape != (classes, len(PERCENTILES)):
        raise ShapeError(
            f"scores {scores.shape}, thresholds {thresholds.shape}, shares {shares.shape}: give (5 (K-1),), (K-1, 4) "
            "and (M, K-1)"
        )
    if not np.isfinite(scores).all():
        raise ShapeError("scores: all must be finite")
    large = (shares[:, :, None] >= thresholds).reshape(len(shares), -1)  # (M, 4 (K-1))
    gates = np.concatenate([shares > 0, np.where(large, 1, -1)], axis=1)  # (M, 5 (K-1))
    return np.asarray(scores * gates, np.float32)


def _gated(proposals: ImageProposals) -> np.ndarray:
    scores, thresholds = proposals.classifier_scores, proposals.size_thresholds
    if scores is None or thresholds is None:
        raise ConfigError("blocks: classification needs classifier_scores and size_thresholds; give both")
    return classification_features(
        scores, thresholds, class_shares(proposals.labels, num_classes=proposals.num_classes)
    )


def _ungated(proposals: ImageProposals) -> np.ndarray:
    if proposals.classifier_scores is None:
        raise ConfigError(f"blocks: {UNGATED} needs classifier_scores; give them")
    return np.repeat(proposals.classifier_scores[None].astype(np.float32), len(proposals.labels), axis=0)


BLOCK = Block(classification_feature_names, _gated)
UNGATED_BLOCK = Block(lambda names: tuple(f"image_{name}" for name in classification_feature_names(names)), _ungated)
