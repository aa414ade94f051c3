"""What a proposal is described by, in named blocks of named columns."""

from __future__ import annotations

from tinysegrank.ranking.features.classification import (
    CLASSIFICATION_FEATURE_NAMES,
    class_shares,
    classification_feature_names,
    classification_features,
)
from tinysegrank.ranking.features.rerank import RERANK_FEATURE_NAMES, rerank_feature_names, rerank_features
from tinysegrank.ranking.features.segnet import SEGNET_FEATURE_NAMES, segnet_feature_names, segnet_features

__all__ = [
    "CLASSIFICATION_FEATURE_NAMES",
    "RERANK_FEATURE_NAMES",
    "SEGNET_FEATURE_NAMES",
    "class_shares",
    "classification_feature_names",
    "classification_features",
    "rerank_feature_names",
    "rerank_features",
    "segnet_feature_names",
    "segnet_features",
]
