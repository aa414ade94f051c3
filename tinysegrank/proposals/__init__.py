"""Module 1: a few diverse labellings of an image, found by DivMBest over a model of it."""

from __future__ import annotations

from tinysegrank.proposals.choice import Choice, choose, choose_lambda, trial
from tinysegrank.proposals.cpmc import CpmcOptions
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
from tinysegrank.proposals.second_order import SecondOrderOptions
from tinysegrank.proposals.segment_model import SegmentModel, SegmentOptions
from tinysegrank.proposals.segment_scores import SegmentScorer, TrainingRows, training_rows
from tinysegrank.proposals.segments import Segments, segment_overlaps
from tinysegrank.proposals.store import ProposalStore
from tinysegrank.proposals.top import best_labellings, best_pastings
from tinysegrank.proposals.unary import SuperpixelClassifier, label_fractions

__all__ = [
    "FEATURE_NAMES",
    "Choice",
    "CpmcOptions",
    "CrfEngine",
    "Engine",
    "OracleCurve",
    "OracleTally",
    "PasteEngine",
    "PerturbedEngine",
    "Proposal",
    "ProposalOptions",
    "ProposalStore",
    "SecondOrderOptions",
    "SegmentModel",
    "SegmentOptions",
    "SegmentScorer",
    "Segments",
    "SuperpixelClassifier",
    "TrainingRows",
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
    "training_rows",
    "trial",
]
