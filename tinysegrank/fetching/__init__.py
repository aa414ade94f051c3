"""Published data and weights: their addresses and checksums, downloads that resume, and archives on disk."""

from __future__ import annotations

from tinysegrank.fetching.archives import unpack_voc, voc_root
from tinysegrank.fetching.download import SOURCES, Source, check_archive, download
from tinysegrank.fetching.sbd import add_sbd

__all__ = ["SOURCES", "Source", "add_sbd", "check_archive", "download", "unpack_voc", "voc_root"]
