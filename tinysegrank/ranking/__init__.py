"""Module 2: scoring proposals by SegNet, their features, and the SVM that ranks them."""

from __future__ import annotations

from tinysegrank.ranking.cross_validation import C_GRID, ChosenC, choose_C
from tinysegrank.ranking.features import SEGNET_FEATURE_NAMES, segnet_feature_names, segnet_features
from tinysegrank.ranking.oracle import oracle_curve, oracle_picks, pick, rank_in_group
from tinysegrank.ranking.pairs import Pairs, ranking_pairs
from tinysegrank.ranking.ranker import FittedRanker, Ranker, fit_ranker
from tinysegrank.ranking.score import kl_divergences, proposal_score
from tinysegrank.ranking.standardize import Standardizer
from tinysegrank.ranking.svm import RankSVM
from tinysegrank.ranking.table import FeatureTable

__all__ = [
    "C_GRID",
    "SEGNET_FEATURE_NAMES",
    "ChosenC",
    "FeatureTable",
    "FittedRanker",
    "Pairs",
    "RankSVM",
    "Ranker",
    "Standardizer",
    "choose_C",
    "fit_ranker",
    "kl_divergences",
    "oracle_curve",
    "oracle_picks",
    "pick",
    "proposal_score",
    "rank_in_group",
    "ranking_pairs",
    "segnet_feature_names",
    "segnet_features",
]
