"""Published data and weights: their addresses and checksums, downloads that resume, and archives on disk."""

from __future__ import annotations

from tinysegrank.fetching.download import download
from tinysegrank.fetching.sbd import add_sbd
from tinysegrank.fetching.sources import SOURCES, Source, check_archive
from tinysegrank.fetching.voc2012 import unpack_voc, voc_root

__all__ = [
    "SOURCES",
    "Source",
    "add_sbd",
    "check_archive",
    "download",
    "unpack_voc",
    "voc_root",
]
