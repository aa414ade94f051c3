"""The paper's evidence, reproduced on a run: each piece has claims beside what the run shows, a table, and a figure."""

from __future__ import annotations

from tinysegrank.evidence.claims import Claim
from tinysegrank.evidence.collect import ALL, PIECES, SEEDS, collect_evidence, evidence_state, read_evidence
from tinysegrank.evidence.html_report import write_html_report
from tinysegrank.evidence.piece import Piece, Written

__all__ = [
    "ALL",
    "PIECES",
    "SEEDS",
    "Claim",
    "Piece",
    "Written",
    "collect_evidence",
    "evidence_state",
    "read_evidence",
    "write_html_report",
]
