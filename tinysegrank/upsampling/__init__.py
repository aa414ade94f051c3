"""Upsample a coarse labelling to every pixel: by tile, or by superpixel."""

from __future__ import annotations

from tinysegrank.upsampling.naive import naive
from tinysegrank.upsampling.superpixel import superpixel, superpixel_distributions

__all__ = ["naive", "superpixel", "superpixel_distributions"]
