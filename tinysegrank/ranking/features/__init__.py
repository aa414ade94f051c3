"""What a proposal is described by, in named blocks of named columns."""

from __future__ import annotations

from tinysegrank.ranking.features.segnet import SEGNET_FEATURE_NAMES, segnet_feature_names, segnet_features

__all__ = ["SEGNET_FEATURE_NAMES", "segnet_feature_names", "segnet_features"]
