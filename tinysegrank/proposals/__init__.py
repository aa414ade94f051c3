"""Module 1: a few diverse labellings of an image, found by DivMBest over a model of it."""

from __future__ import annotations

from tinysegrank.proposals.crf import CrfEngine, potts_weights
from tinysegrank.proposals.divmbest import Engine, Proposal, count_distinct, divmbest
from tinysegrank.proposals.expansion import expansion, potts_energy

__all__ = [
    "CrfEngine",
    "Engine",
    "Proposal",
    "count_distinct",
    "divmbest",
    "expansion",
    "potts_energy",
    "potts_weights",
]
