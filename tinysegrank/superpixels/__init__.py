"""Superpixels: SLIC over-segmentation, the graph of neighbours, and maps averaged over each superpixel."""

from __future__ import annotations

from tinysegrank.superpixels.bilinear import bilinear_weights, pool_maps
from tinysegrank.superpixels.graph import RegionGraph, contacts, region_graph
from tinysegrank.superpixels.slic import METHODS, as_lab, as_rgb, close_gaps, slic

__all__ = [
    "METHODS",
    "RegionGraph",
    "as_lab",
    "as_rgb",
    "bilinear_weights",
    "close_gaps",
    "contacts",
    "pool_maps",
    "region_graph",
    "slic",
]
