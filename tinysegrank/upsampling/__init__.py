"""Upsample a coarse labelling to every pixel, by tile or by superpixel; and enlarge a label map."""

from __future__ import annotations

from tinysegrank.upsampling.coarse import naive, superpixel, superpixel_distributions
from tinysegrank.upsampling.enlarge import enlarge

__all__ = ["enlarge", "naive", "superpixel", "superpixel_distributions"]
