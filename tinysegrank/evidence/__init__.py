"""The paper's evidence, reproduced on a run: each piece has claims beside what the run shows, a table and a figure."""

from __future__ import annotations

from tinysegrank.evidence.claims import Ordering, Statement
from tinysegrank.evidence.collect import PIECES, collect_evidence, evidence_state
from tinysegrank.evidence.piece import Finding, Piece, Request, Written

__all__ = ["PIECES", "Finding", "Ordering", "Piece", "Request", "Statement", "Written", "collect_evidence",
           "evidence_state"]  # fmt: skip
