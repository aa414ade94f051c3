"""Superpixels: SLIC over-segmentation and the graph of neighbouring superpixels."""

from __future__ import annotations

from tinysegrank.superpixels.graph import RegionGraph, region_graph
from tinysegrank.superpixels.slic import METHODS, as_rgb, slic

__all__ = [
    "METHODS",
    "RegionGraph",
    "as_rgb",
    "region_graph",
    "slic",
]
