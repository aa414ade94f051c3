"""Module 1: a few diverse labellings of an image, found by DivMBest over a model of it."""

from __future__ import annotations

from tinysegrank.proposals.choice import Choice, choose, choose_lambda, trial
from tinysegrank.proposals.crf import CrfEngine, potts_weights
from tinysegrank.proposals.curves import OracleCurve, OracleTally, oracle_curve, oracle_tally
from tinysegrank.proposals.divmbest import Engine, Proposal, count_distinct, divmbest
from tinysegrank.proposals.expansion import expansion, potts_energy
from tinysegrank.proposals.features import FEATURE_NAMES, superpixel_features
from tinysegrank.proposals.paste import PasteEngine
from tinysegrank.proposals.paste_threshold import choose_threshold, fit_threshold, threshold_trial
from tinysegrank.proposals.perturb import PerturbedEngine, perturb_and_map
from tinysegrank.proposals.pipeline import ProposalOptions, propose, propose_image
from tinysegrank.proposals.pooling import pool
from tinysegrank.proposals.segments import Segments, segment_overlaps
from tinysegrank.proposals.store import ProposalStore
from tinysegrank.proposals.top import best_labellings, best_pastings
from tinysegrank.proposals.unary import SuperpixelClassifier, label_fractions

__all__ = [
    "FEATURE_NAMES",
    "Choice",
    "CrfEngine",
    "Engine",
    "OracleCurve",
    "OracleTally",
    "PasteEngine",
    "PerturbedEngine",
    "Proposal",
    "ProposalOptions",
    "ProposalStore",
    "Segments",
    "SuperpixelClassifier",
    "best_labellings",
    "best_pastings",
    "choose",
    "choose_lambda",
    "choose_threshold",
    "count_distinct",
    "divmbest",
    "expansion",
    "fit_threshold",
    "label_fractions",
    "oracle_curve",
    "oracle_tally",
    "perturb_and_map",
    "pool",
    "potts_energy",
    "potts_weights",
    "propose",
    "propose_image",
    "segment_overlaps",
    "superpixel_features",
    "threshold_trial",
    "trial",
]
