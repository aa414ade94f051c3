"""Module 2: scoring proposals by SegNet, their features, and what ranks them by these."""

from __future__ import annotations

from tinysegrank.ranking.cross_validation import C_GRID, ChosenC, choose_C
from tinysegrank.ranking.describe import BLOCKS, describe_proposals_of_image
from tinysegrank.ranking.descriptors import FullyConnected, image_descriptors, load_fully_connected
from tinysegrank.ranking.distance import kl_divergences, proposal_distance
from tinysegrank.ranking.features import (
    CLASSIFICATION_FEATURE_NAMES,
    RERANK_FEATURE_NAMES,
    SEGNET_FEATURE_NAMES,
    class_shares,
    classification_feature_names,
    classification_features,
    rerank_feature_names,
    rerank_features,
    segnet_feature_names,
    segnet_features,
)
from tinysegrank.ranking.gain import corpus_gains
from tinysegrank.ranking.image_classifier import ImageClassifier
from tinysegrank.ranking.oracle import oracle_curve, oracle_picks, pick, rank_in_group
from tinysegrank.ranking.pairs import Pairs, ranking_pairs
from tinysegrank.ranking.ranker import FittedRanker, Ranker, balancing_weights, fit_ranker
from tinysegrank.ranking.standardize import Standardizer
from tinysegrank.ranking.structural import STRUCTURAL_C_GRID, StructuralSVM
from tinysegrank.ranking.svm import RankSVM
from tinysegrank.ranking.table import FeatureTable

__all__ = [
    "BLOCKS",
    "CLASSIFICATION_FEATURE_NAMES",
    "C_GRID",
    "RERANK_FEATURE_NAMES",
    "SEGNET_FEATURE_NAMES",
    "STRUCTURAL_C_GRID",
    "ChosenC",
    "FeatureTable",
    "FittedRanker",
    "FullyConnected",
    "ImageClassifier",
    "Pairs",
    "RankSVM",
    "Ranker",
    "Standardizer",
    "StructuralSVM",
    "balancing_weights",
    "choose_C",
    "class_shares",
    "classification_feature_names",
    "classification_features",
    "corpus_gains",
    "describe_proposals_of_image",
    "fit_ranker",
    "image_descriptors",
    "kl_divergences",
    "load_fully_connected",
    "oracle_curve",
    "oracle_picks",
    "pick",
    "proposal_distance",
    "rank_in_group",
    "ranking_pairs",
    "rerank_feature_names",
    "rerank_features",
    "segnet_feature_names",
    "segnet_features",
]
