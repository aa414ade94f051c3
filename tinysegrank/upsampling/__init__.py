"""Upsample a coarse labelling to every pixel, by tile or by superpixel; and enlarge a label map."""

from __future__ import annotations

from tinysegrank.upsampling.enlarge import enlarge
from tinysegrank.upsampling.naive import naive
from tinysegrank.upsampling.superpixel import superpixel, superpixel_distributions

__all__ = ["enlarge", "naive", "superpixel", "superpixel_distributions"]
