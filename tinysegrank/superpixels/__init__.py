"""Superpixels: SLIC over-segmentation, the graph of neighbours, and maps averaged over each superpixel."""

from __future__ import annotations

from tinysegrank.superpixels.graph import RegionGraph, region_graph
from tinysegrank.superpixels.pooling import bilinear_weights, pool_maps
from tinysegrank.superpixels.slic import METHODS, as_rgb, slic

__all__ = [
    "METHODS",
    "RegionGraph",
    "as_rgb",
    "bilinear_weights",
    "pool_maps",
    "region_graph",
    "slic",
]
