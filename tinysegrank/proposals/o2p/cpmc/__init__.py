"""CPMC: segments that may be objects, by constrained parametric min-cuts on a graph of superpixels."""

from __future__ import annotations

from tinysegrank.proposals.o2p.cpmc.cuts import connected_parts, parametric_cuts
from tinysegrank.proposals.o2p.cpmc.description import SEGMENT_FEATURES, segment_features
from tinysegrank.proposals.o2p.cpmc.filters import (
    best_of_clusters,
    cut_ratios,
    diverse_order,
    drop_duplicates,
    low_cut_ratios,
)
from tinysegrank.proposals.o2p.cpmc.gains import (
    Hypotheses,
    colour_gains,
    frame_hypotheses,
    grid_seeds,
    lambdas,
    uniform_gains,
)
from tinysegrank.proposals.o2p.cpmc.graph import Boundaries, edge_map, find_boundaries, oversegment
from tinysegrank.proposals.o2p.cpmc.pipeline import (
    Candidates,
    Columns,
    CpmcOptions,
    Examples,
    candidates,
    cpmc,
    ranker_examples,
)
from tinysegrank.proposals.o2p.cpmc.ranker import SegmentRanker

__all__ = [
    "SEGMENT_FEATURES",
    "Boundaries",
    "Candidates",
    "Columns",
    "CpmcOptions",
    "Examples",
    "Hypotheses",
    "SegmentRanker",
    "best_of_clusters",
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
    "oversegment",
    "parametric_cuts",
    "ranker_examples",
    "segment_features",
    "uniform_gains",
]
