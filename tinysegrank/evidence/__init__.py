"""The paper's evidence, reproduced on a run: each piece a claim beside what the run shows, a table and a figure."""

from __future__ import annotations

from tinysegrank.evidence.collect import SEEDS, collect_evidence, evidence_state, read_evidence
from tinysegrank.evidence.pieces import Claim, Piece
from tinysegrank.evidence.registry import ALL, PIECES
from tinysegrank.evidence.written import Written

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
]
