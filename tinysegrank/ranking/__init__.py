"""Module 2 of the paper: score proposals by SegNet, compute their features, and rank them.

The estimators need scikit-learn, which takes most of a second to import, so they are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinysegrank.ranking.cross_validation import C_GRID, ChosenC, choose_C
from tinysegrank.ranking.distance import kl_divergences, proposal_distance
from tinysegrank.ranking.features import BLOCKS, PAPER_BLOCKS, Block, ImageProposals, describe
from tinysegrank.ranking.features.classification import UNGATED, class_shares
from tinysegrank.ranking.image_classifier import (
    FullyConnected,
    ImageClassifier,
    image_descriptors,
    load_fully_connected,
)
from tinysegrank.ranking.oracle import Pairs, oracle_picks, oracle_quality, pick, rank_in_group, ranking_pairs
from tinysegrank.ranking.ranker import RANKERS, FittedRanker, Ranker, RankerKind, balancing_weights, fit_ranker
from tinysegrank.ranking.table import FeatureTable, StoredTable

if TYPE_CHECKING:
    from tinysegrank.ranking.estimator import LinearRanker, Standardizer
    from tinysegrank.ranking.svm import RankSVM

_MODULES = {"LinearRanker": "estimator", "RankSVM": "svm", "Standardizer": "estimator"}

__all__ = [
    "BLOCKS",
    "C_GRID",
    "PAPER_BLOCKS",
    "RANKERS",
    "UNGATED",
    "Block",
    "ChosenC",
    "FeatureTable",
    "FittedRanker",
    "FullyConnected",
    "ImageClassifier",
    "ImageProposals",
    "LinearRanker",
    "Pairs",
    "RankSVM",
    "Ranker",
    "RankerKind",
    "Standardizer",
    "StoredTable",
    "balancing_weights",
    "choose_C",
    "class_shares",
    "describe",
    "fit_ranker",
    "image_descriptors",
    "kl_divergences",
    "load_fully_connected",
    "oracle_picks",
    "oracle_quality",
    "pick",
    "proposal_distance",
    "rank_in_group",
    "ranking_pairs",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
