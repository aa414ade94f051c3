"""Block 3 of a proposal's features: the hand-made ones of the re-ranker of DivMBest, as far as they are published."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals import PastedSegments
from tinysegrank.ranking.features.block import Block, ImageProposals
from tinysegrank.ranking.features.chamfer import boundary_pixels, chamfer_feature_names, chamfer_features, image_edges
from tinysegrank.voc import BACKGROUND, CLASS_NAMES, NUM_CLASSES
from tinysegrank.voc.labels import check_labels


def rerank_feature_names(class_names: Sequence[str] = CLASS_NAMES) -> tuple[str, ...]:
    """Return the names of the columns of `rerank_features`."""
    return (
        *pair_feature_names(class_names),
        *chamfer_feature_names("segment_boundary"),
        *chamfer_feature_names("object_boundary"),
        *summary_feature_names(class_names),
    )


def rerank_features(
    labels: np.ndarray,
    edges: np.ndarray,
    *,
    scores: np.ndarray | None = None,
    segments: Sequence[PastedSegments | None] | None = None,
    num_classes: int = NUM_CLASSES,
) -> np.ndarray:
    """Describe each proposal of an image by its layout, its boundaries, and its score, rank and segments.

    The paper uses "all features used by [26]", 1,966 columns. The code released with DivMBest computes 980, plus 1,050
    for each of two optional kernel maps; no choice of its groups gives 1,966, and the rest is not published. This block
    has 1,107 columns for VOC:

    columns | group                                                                    | published
    420     | difference of the centroids of each pair of classes                      | yes
    210     | pixels of each pair                                                      | yes
    210     | whether both of a pair are present; all three are `pair_features`        | yes
    120     | edges along the boundaries between all labels, `chamfer_features`        | yes; with gPb
    120     | edges along the boundary between background and objects                  | yes; with gPb
    27      | score, rank and segments, `summary_features`                             | by name only

    The 20 gated scores of image classifiers that the release computes too are in block 2; kernel maps are left out.

    labels  | (M, H, W)  | integer  | 0..K-1, in the order of the proposals' rank
    edges   | (H, W)     | floating | 0..1, as from `edge_map`
    scores  | (M,)       | floating | `Proposal.score`; NaN where unknown, or None if all are unknown
    returns | (M, D)     | float32  | D = 4 K (K-1) / 2 + 240 + K + 6 columns

    Args:
        segments: segments of each proposal, see `summary_features`; unknown by default.
        num_classes: number of classes K, background included.

    Raises:
        ShapeError: the arrays do not fit each other, or have invalid values.
        DatasetError: a label is not a class.

    Paper: section 4, "DivMBest+ReRank". Source: Yadollahpour, Batra and Shakhnarovich, "Discriminative re-ranking of
    diverse segmentations", CVPR 2013, through Segm_extract_measurements_on_sol.m of the DivMBest release.
    """
    counts, centroids = class_moments(labels, num_classes=num_classes)
    labels = np.asarray(labels)
    height, width = labels.shape[1:]
    between, around = boundary_pixels(labels), boundary_pixels(labels != BACKGROUND)  # (M, H, W)
    known = image_edges(edges, np.asarray(between.any(axis=0)))
    chamfer = np.zeros((len(labels), 2, len(chamfer_feature_names(""))), np.float32)
    for m in range(len(labels)):
        chamfer[m, 0] = chamfer_features(known, between[m])
        same = np.array_equal(between[m], around[m])  # objects that do not touch have no other boundaries
        chamfer[m, 1] = chamfer[m, 0] if same else chamfer_features(known, around[m])
    return np.concatenate(
        [
            pair_features(counts, centroids, height=height, width=width),
            chamfer[:, 0],
            chamfer[:, 1],
            summary_features(counts, scores, segments),
        ],
        axis=1,
    )


def pair_feature_names(class_names: Sequence[str] = CLASS_NAMES) -> tuple[str, ...]:
    """Return the names of the columns of `pair_features`: for each of 4 kinds the pairs (0, 1), (0, 2), ..., (1, 2)."""
    kinds = ("centroid_x", "centroid_y", "pixels", "together")
    between = "|" if any("_" in name for name in class_names) else "_"  # so that no two pairs give the same name
    return tuple(f"{kind}_{a}{between}{b}" for kind in kinds for a, b in combinations(class_names, 2))


def class_moments(labels: np.ndarray, *, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of pixels and the centroid of each class in each label map.

    labels    | (M, H, W) | integer | 0..K-1
    counts    | (M, K)    | int64   | pixels
    centroids | (M, K, 2) | float64 | mean column, mean row; 0, 0 where the class is absent

    Raises:
        ShapeError: the labels are not three-dimensional, have no pixel, or are not integers.
        DatasetError: a label is not a class.
    """
    if np.ndim(labels) != 3 or 0 in np.shape(labels)[1:]:
        raise ShapeError(f"labels: shape {np.shape(labels)} is not (M, H, W); stack the image's proposals")
    labels = check_labels(labels, num_classes=num_classes, void=None)
    height, width = labels.shape[1:]
    counts = np.zeros((len(labels), num_classes), np.int64)
    centroids = np.zeros((len(labels), num_classes, 2))
    for m, one in enumerate(labels):
        sides = []
        for axis, length in ((0, width), (1, height)):
            place = np.arange(length) if axis == 0 else np.arange(length)[:, None]
            table = np.bincount((one + num_classes * place).ravel(), minlength=num_classes * length)
            sides.append(table.reshape(length, num_classes))  # (W, K), then (H, K): pixels of each column, of each row
        counts[m] = sides[0].sum(axis=0)
        sums = np.stack([np.arange(len(table)) @ table for table in sides], axis=1)  # (K, 2)
        centroids[m] = sums / np.maximum(counts[m], 1)[:, None]
    return counts, centroids


def pair_features(counts: np.ndarray, centroids: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Describe each proposal by its pairs of classes, background included.

    Each of the P = K (K-1) / 2 pairs a < b has four features, which are 0 unless the proposal contains both classes:
    the column of a's centroid minus that of b's, in image widths; the same for rows, in image heights; the number of
    pixels of both, divided by the sum of these numbers over the pairs present; and 1 divided by the number of pairs
    present. The columns are the first feature of all pairs, then the second, and so on, as in `pair_feature_names`.

    counts    | (M, K)    | integer  | as from `class_moments`
    centroids | (M, K, 2) | floating | as from `class_moments`
    returns   | (M, 4 P)  | float32  | 840 columns for the 21 classes of VOC

    Source: Segm_extract_measurements_on_sol.m of the DivMBest release. The order of the pairs and the sign of the
    differences are ours (there, background is the last class).
    """
    a, b = np.triu_indices(counts.shape[1], 1)
    both = (counts[:, a] > 0) & (counts[:, b] > 0)  # (M, P)
    difference = (centroids[:, a] - centroids[:, b]) / [width, height] * both[:, :, None]  # (M, P, 2)
    pixels = _to_sum_one((counts[:, a] + counts[:, b]) * both)
    return np.concatenate([difference[:, :, 0], difference[:, :, 1], pixels, _to_sum_one(both)], axis=1).astype(
        np.float32
    )


def _to_sum_one(rows: np.ndarray) -> np.ndarray:
    """Divide each row of whole numbers by its sum; rows of zeros stay zero."""
    return rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)


def summary_feature_names(class_names: Sequence[str] = CLASS_NAMES) -> tuple[str, ...]:
    """Return the names of the columns of `summary_features`."""
    of_class = (f"max_segment_score_{name}" for name in class_names[1:])
    return ("map_score", "rank", "log_rank", "segments", "classes", "mean_pixel_score", *of_class, "has_segments")


def summary_features(
    counts: np.ndarray, scores: np.ndarray | None = None, segments: Sequence[PastedSegments | None] | None = None
) -> np.ndarray:
    """Describe each proposal of an image by its score, its rank, and the segments that it was pasted from.

    The columns, in the order of `summary_feature_names`, are the engine's score, 0 if unknown; the number n of
    proposals before this one; log(1 + n); the number of pasted segments; the number of classes but background; the mean
    over all pixels of the visible segment's score, 0 in the background; for each class but background the best score of
    its pasted segments, 0 without any; and 1 if the segments are known. If not, the columns about segments are 0.

    Proposals with and without segments are from two engines, whose scores are not comparable. If both have scores, each
    score is replaced by its difference from its engine's best, in standard deviations of its engine's scores.

    counts  | (M, K)    | integer  | pixels of each class, in the order of the proposals' rank
    scores  | (M,)      | floating | `Proposal.score`; NaN where unknown
    returns | (M, K+6)  | float32  | 27 columns for the 21 classes of VOC

    Args:
        segments: `Proposal.segments` of each proposal, None where unknown; all unknown by default.

    Raises:
        ShapeError: there isn't one of each per proposal, a score is infinite, or a segment's class is out of range.

    Source: Yadollahpour et al. name the score and rank of a solution and O2P's scores of pixels and segments, but the
    release has no code for them: these definitions are our choice.
    """
    M, K = counts.shape
    scores = np.full(M, np.nan) if scores is None else np.asarray(scores, np.float64)
    segments = [None] * M if segments is None else segments
    if scores.shape != (M,) or len(segments) != M:
        raise ShapeError(f"scores {scores.shape}, segments {len(segments)}: give one for each of {M} proposals")
    if np.isinf(scores).any():
        raise ShapeError("scores: one is infinite; leave unknown ones NaN")
    rank, scores = np.arange(M), _comparable(scores, np.array([parts is not None for parts in segments], bool))
    pasted = np.array([_of_segments(parts, int(counts[m].sum()), K) for m, parts in enumerate(segments)])
    pasted = pasted.reshape(M, K + 2)  # number, mean pixel score, K-1 best scores, has_segments
    columns = [np.nan_to_num(scores), rank, np.log1p(rank), pasted[:, 0], (counts[:, 1:] > 0).sum(axis=1)]
    return np.concatenate([np.stack(columns, axis=1), pasted[:, 1:]], axis=1).astype(np.float32)  # (M, K+6)


def _comparable(scores: np.ndarray, has_segments: np.ndarray) -> np.ndarray:
    """Return scores of one engine unchanged, and of two as differences from each one's best, in standard deviations.

    scores       | (M,) | float64 | NaN where unknown
    has_segments | (M,) | bool    | true for the proposals of one engine, false for those of the other
    """
    engines = [np.flatnonzero(kind & np.isfinite(scores)) for kind in (has_segments, ~has_segments)]
    if not all(map(len, engines)):
        return scores
    out = scores.copy()
    for rows in engines:
        out[rows] = (scores[rows] - scores[rows].max()) / (scores[rows].std() or 1.0)
    return out


def _of_segments(parts: PastedSegments | None, pixels: int, num_classes: int) -> np.ndarray:
    """Return the number of segments, their mean score per pixel of the image, K-1 best scores, and 1; or zeros."""
    row = np.zeros(num_classes + 2)
    if parts is None:
        return row
    classes = np.asarray(parts.classes)
    if len(classes) and not 1 <= classes.min() <= classes.max() < num_classes:
        raise ShapeError(f"segments: classes must be in 1..{num_classes - 1}, got {np.unique(classes)}")
    row[0], row[-1] = len(classes), 1
    row[1] = (np.asarray(parts.scores) * parts.pixels).sum() / pixels
    for k in np.unique(classes):
        row[1 + k] = np.max(np.asarray(parts.scores)[classes == k])
    return row


def _compute(of: ImageProposals) -> np.ndarray:
    return rerank_features(of.labels, of.edges, scores=of.scores, segments=of.segments, num_classes=of.num_classes)


BLOCK = Block(rerank_feature_names, _compute)
