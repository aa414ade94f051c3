"""CPMC: segments that may be objects, by constrained parametric min-cuts on a graph of superpixels."""

from __future__ import annotations

from tinysegrank.proposals.cpmc.boundaries import Boundaries, find_boundaries
from tinysegrank.proposals.cpmc.components import connected_parts
from tinysegrank.proposals.cpmc.cuts import parametric_cuts
from tinysegrank.proposals.cpmc.description import SEGMENT_FEATURES, segment_features
from tinysegrank.proposals.cpmc.diversity import diverse_order
from tinysegrank.proposals.cpmc.edges import edge_map
from tinysegrank.proposals.cpmc.examples import Examples, ranker_examples
from tinysegrank.proposals.cpmc.filters import best_of_clusters, cut_ratios, drop_duplicates, low_cut_ratios
from tinysegrank.proposals.cpmc.merit import Merit, best_overlaps, merit
from tinysegrank.proposals.cpmc.oversegment import oversegment
from tinysegrank.proposals.cpmc.pipeline import Candidates, CpmcOptions, candidates, cpmc
from tinysegrank.proposals.cpmc.ranker import SegmentRanker
from tinysegrank.proposals.cpmc.seeds import Hypotheses, frame_hypotheses, grid_seeds
from tinysegrank.proposals.cpmc.unaries import colour_gains, lambdas, uniform_gains

__all__ = [
    "SEGMENT_FEATURES",
    "Boundaries",
    "Candidates",
    "CpmcOptions",
    "Examples",
    "Hypotheses",
    "Merit",
    "SegmentRanker",
    "best_of_clusters",
    "best_overlaps",
    "candidates",
    "colour_gains",
    "connected_parts",
    "cpmc",
    "cut_ratios",
    "diverse_order",
    "drop_duplicates",
    "edge_map",
    "find_boundaries",
    "frame_hypotheses",
    "grid_seeds",
    "lambdas",
    "low_cut_ratios",
    "merit",
    "oversegment",
    "parametric_cuts",
    "ranker_examples",
    "segment_features",
    "uniform_gains",
]
