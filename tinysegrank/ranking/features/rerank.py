"""Block 3 of a proposal's features: the hand-made ones of DivMBest+ReRank, as far as they are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals import PastedSegments
from tinysegrank.ranking.features.block import Block, ImageProposals
from tinysegrank.ranking.features.chamfer import boundary_pixels, chamfer_feature_names, chamfer_features, image_edges
from tinysegrank.ranking.features.pairs import class_moments, pair_feature_names, pair_features
from tinysegrank.ranking.features.summary import summary_feature_names, summary_features
from tinysegrank.voc import BACKGROUND, CLASS_NAMES, NUM_CLASSES


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
    """Describe each proposal of an image by its layout, its boundaries, and its own score.

    The paper uses "all features used by [26]", 1,966 columns. The code released with DivMBest computes 980, plus 1,050
    for each of two optional kernel maps. The number of columns of each of its groups is a multiple of ten, so no choice
    of groups gives 1,966; the rest is not published. This block has 1,107 columns for VOC:

    columns | group                                                                    | published
    420     | difference of the centroids of each pair of classes                      | yes
    210     | pixels of each pair                                                      | yes
    210     | whether both of a pair are present                                       | yes
    120     | edges along the boundaries between all labels, `chamfer_features`        | yes; with gPb
    120     | edges along the boundary between background and objects                  | yes; with gPb
    27      | scores, rank and segments, `summary_features`                            | by name only

    The 20 gated scores of image classifiers that the release counts among them are in block 2; kernel maps are left
    out.

    labels  | (M, H, W)  | integer  | 0..K-1, in the order of the proposals' rank
    edges   | (H, W)     | floating | 0..1, as from `edge_map`
    scores  | (M,)       | floating | `Proposal.score`; NaN where unknown
    returns | (M, 1107)  | float32  | K (K-1) / 2 * 4 + 240 + K + 6 columns

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
    if np.shape(edges) != labels.shape[1:]:
        raise ShapeError(f"edges: shape {np.shape(edges)} is not that of the labels, {labels.shape[1:]}")
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


def _compute(of: ImageProposals) -> np.ndarray:
    return rerank_features(of.labels, of.edges, scores=of.scores, segments=of.segments, num_classes=of.num_classes)


BLOCK = Block(rerank_feature_names, _compute)
