"""Superpixels: SLIC over-segmentation and the graph of neighbouring superpixels."""

from __future__ import annotations

from tinysegrank.superpixels.graph import RegionGraph, region_graph
from tinysegrank.superpixels.quality import best_labels, boundary_recall, undersegmentation_error
from tinysegrank.superpixels.slic import METHODS, as_rgb, slic

__all__ = [
    "METHODS",
    "RegionGraph",
    "as_rgb",
    "best_labels",
    "boundary_recall",
    "region_graph",
    "slic",
    "undersegmentation_error",
]
