"""All features of all proposals of an image, in the form that `FeatureTable.of_image` takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals import PastedSegments
from tinysegrank.proposals.o2p.cpmc import edge_map
from tinysegrank.ranking.features import (
    class_shares,
    classification_feature_names,
    classification_features,
    rerank_feature_names,
    rerank_features,
    segnet_feature_names,
    segnet_features,
)
from tinysegrank.voc import CLASS_NAMES, soft_targets_many

BLOCKS = ("segnet", "classification", "rerank")
"""The paper's blocks (1), (2) and (3)."""


def describe_proposals_of_image(
    image: np.ndarray,
    coarse: np.ndarray,
    labels: np.ndarray,
    *,
    blocks: Sequence[str] = BLOCKS,
    classifier_scores: np.ndarray | None = None,
    size_thresholds: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    segments: Sequence[PastedSegments | None] | None = None,
    soft: np.ndarray | None = None,
    edges: np.ndarray | None = None,
    eps: float = 1e-3,
    gated: bool = True,
    class_names: Sequence[str] = CLASS_NAMES,
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Compute some blocks of features of each proposal: by name of the block, its columns' names and values.

    image             | (H, W) or (H, W, 3) | uint8    | 0..255
    coarse            | (h, w, K)           | floating | SegNet's distribution of each cell
    labels            | (M, H, W)           | integer  | 0..K-1; the proposals, in the order of their rank
    classifier_scores | (5 (K-1),)          | floating | of the image: a row of `ImageClassifier.scores`
    size_thresholds   | (K-1, 4)            | floating | `ImageClassifier.thresholds_` of the same classifiers
    scores            | (M,)                | floating | `Proposal.score`; NaN where unknown
    soft              | (M, h, w, K)        | floating | `voc.soft_targets_many` of the labels, if at hand already
    edges             | (H, W)              | floating | `edge_map` of the image, if at hand already
    values            | (M, columns)        | float32  | of 86, 100 and 1107 columns for the 21 classes of VOC

    Args:
        image: the picture; block 3 takes its edges from it.
        coarse: block 1; for training images by a network that did not see them.
        labels: as above.
        blocks: which of BLOCKS, in the order wanted.
        classifier_scores: block 2; for training images by classifiers that did not see them.
        size_thresholds: block 2.
        scores: block 3; unknown by default, which makes its column 0.
        segments: block 3, as from `ProposalStore.read_segments`; unknown by default, which makes their columns 0.
        soft: see above.
        edges: see above.
        eps: block 1, smoothing of the divergences.
        gated: block 2; see `classification_features`.
        class_names: of the K classes, background first.

    Raises:
        ConfigError: a block is unknown or there twice, or block 2 is asked for without scores and thresholds.
        ShapeError: the arrays do not fit each other, or hold what they should not.
        DatasetError: a label is no class, or the image is smaller than SegNet's grid.

    Paper: section 4, "Segmentation features".
    """
    chosen = list(blocks)
    if not chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(BLOCKS):
        raise ConfigError(f"blocks: {chosen}; choose some of {list(BLOCKS)}, each once")
    if np.ndim(labels) != 3 or np.shape(labels)[1:] != image.shape[:2]:
        raise ShapeError(f"labels: shape {np.shape(labels)} is not (M, {', '.join(map(str, image.shape[:2]))})")
    K = len(class_names)
    if coarse.ndim != 3 or coarse.shape[-1] != K:
        raise ShapeError(f"coarse: shape {coarse.shape} is not (h, w, {K}), as there are {K} class names")
    described: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for block in chosen:
        if block == "segnet":
            if soft is None:
                soft = soft_targets_many(labels, grid=(coarse.shape[0], coarse.shape[1]), num_classes=K, void=None)[0]
            described[block] = (segnet_feature_names(class_names), segnet_features(coarse, soft, eps=eps))
        elif block == "classification":
            if classifier_scores is None or size_thresholds is None:
                raise ConfigError("blocks: classification needs classifier_scores and size_thresholds; give both")
            shares = class_shares(labels, num_classes=K)
            values = classification_features(classifier_scores, size_thresholds, shares, gated=gated)
            described[block] = (classification_feature_names(class_names), values)
        else:
            edges = edge_map(image) if edges is None else edges
            values = rerank_features(labels, edges, scores=scores, segments=segments, num_classes=K)
            described[block] = (rerank_feature_names(class_names), values)
    return described
