"""Module 1: a few diverse labellings of an image, found by DivMBest over a model of it.

What became of its sources, the DivMBest release with its O2P and CPMC; names are relative to this package, all classes'
own methods are in their files. "Kept" is as there, "simplified" has less, "changed" does it otherwise, "added" is new.

DivMBest on a CRF
kept       | penalty of lambda on each node's last label, on top of earlier ones | crf.CrfEngine.diversify
changed    | a node counts by its pixels, as it is a superpixel | crf.CrfEngine.diversify
changed    | expansion moves from the solution before, not TRW-S | expansion.expansion
left out   | penalty on the nodes at label borders only | crf.CrfEngine.diversify
kept       | noise on the original unaries, as perturb-and-MAP and nothing else | perturb.perturb_and_map
added      | M best without diversity, to compare with; approximate on a CRF | top.best_labellings top.best_pastings
added      | proposals of both engines in turn; the oracle's curve | pooling.pool curves.oracle_curve
added      | lambda by the oracle on held-out training images; how theirs was is unknown | choice.choose_lambda

DivMBest by pasting
kept       | a segment takes its best class or background; at most 3; the best pasted last | paste.PasteEngine.solve
kept       | the j-th must be 0.02 j above background; no suppression of overlaps | paste.SIMPLICITY
changed    | ranked by and held to the gain over its own background, not the largest | paste.PasteEngine.solve
kept       | lambda off each pasted pair for good; off the background of the rest once | paste.PasteEngine.diversify
changed    | backgrounds reset in every image (the release: all but the last lose theirs) | paste.PasteEngine.diversify
changed    | penalties, not the noise that the release switches on | divmbest.divmbest
kept       | one threshold for all classes, from 0.20 by 0.01 to 2.2 segments an image | paste_threshold.fit_threshold
changed    | that search on training images, not those tested | paste_threshold.fit_threshold
added      | the threshold by accuracy on training images, the default of runs | paste_threshold.choose_threshold
kept       | lambda 0.08 is among those tried; M up to 30 is the caller's | paste.LAMBDAS

Second-order pooling (in second_order)
kept       | eSIFT of figure and ground, eLBP of figure; step 4 | second_order.describe.describe_segments
left out   | eMSIFT, which needs SIFT afresh for each segment | second_order.describe.describe_segments
simplified | SIFT without Gaussian window | second_order.sift.dense_sift
kept       | 9 colours at the point itself, scaled | second_order.local.point_colours
kept       | 6 numbers of place, in the segment's box or, for the ground, the image | second_order.pooling.placements
kept       | mean outer product, from sums over superpixels | second_order.pooling.superpixel_sums
added      | the place by a matrix after the sums | second_order.pooling.placed_averages
left out   | second-order maximum, for comparison only there | second_order.pooling.placed_averages
kept       | logarithm of G + 0.001 I, an empty region gives 0 | second_order.log_map.log_matrices
kept       | upper triangle, nothing off the diagonal rescaled | second_order.log_map.upper_triangles
kept       | blocks to length 1, then all together; signed power 0.75 | second_order.log_map.normalise_blocks
added      | SIFT and patterns projected before pooling, for speed | second_order.reduction.DescriptorReduction
changed    | PCA, not centred: to 512, randomised, fitted on segments | second_order.projection.Projection
kept       | target: largest overlap with an instance, void left out | segment_scores.training_rows
changed    | an object is a component of 100 pixels where there are no instances | segment_scores.training_rows
kept       | rows: segments, true masks, again the best segment of an object if above 0.5 | segment_scores.training_rows
kept       | true masks once more in the mirror image | segments.Segments.mirrored
simplified | true masks as superpixels | segment_scores.training_rows
kept       | targets centred by class, no bias, C = 3, epsilon = 0.25, squared | segment_scores.SegmentScorer
changed    | the repeated rows are centred too | segment_scores.SegmentScorer
changed    | Newton's method on all rows, not dual descent with mined ones | support_vectors.fit_regression

CPMC (in cpmc)
changed    | cuts of superpixels of the whole image, not of pixels at half size | cpmc.oversegment.oversegment
changed    | largest Sobel gradient over Lab, not gPb: milliseconds, not minutes | cpmc.edges.edge_map
changed    | 1000 exp(-max(e)/0.05) + 11, one rule for all segmenters | cpmc.boundaries.find_boundaries
kept       | exact cuts for every lambda: 0 and 20 from 0.001 up | cpmc.unaries.lambdas cpmc.cuts.parametric_cuts
changed    | a maximum flow that goes on from lambda to lambda, not pseudoflow | fast_maxflow.nested_cuts
kept       | 5 x 5 seeds; a frame that costs less near the seed | cpmc.seeds.grid_seeds
simplified | seeds of one size, not snapped to regions | cpmc.seeds.grid_seeds
kept       | uniform gains up to 150 | cpmc.unaries.uniform_gains
kept       | six hypotheses without a seed, against parts of the frame | cpmc.seeds.frame_hypotheses
kept       | colour gains up to 300: 300 exp(-0.07 L1) to 5 colours of seed and frame | cpmc.unaries.colour_gains
simplified | palettes of superpixels' mean colours, without chance | cpmc.palette.palette
left out   | the grid of windows, a third segmenter | cpmc.pipeline.candidates
kept       | connected parts | cpmc.components.connected_parts
changed    | of at least 100 pixels in full size, there at half size | cpmc.pipeline.CpmcOptions
simplified | cut ratio at most 250 for all (there 100 or 250), but 5 in any case | cpmc.filters.low_cut_ratios
kept       | 1000 at random, no two above 0.98, the best of each cluster at 0.05 | cpmc.pipeline.candidates
left out   | opening: unions of superpixels have no threads | cpmc.filters.best_of_clusters
simplified | 19 numbers of shape, 6 of border and colour; no textons, no words | cpmc.description.segment_features
kept       | regression on random features of a Laplacian kernel, to the best overlap | cpmc.ranker.SegmentRanker
kept       | 0.75 score - 0.25 overlap with those before; 150 at most | cpmc.diversity.diverse_order
"""

from __future__ import annotations

from tinysegrank.proposals.choice import CRITERIA, Choice, choose, choose_lambda, trial
from tinysegrank.proposals.cpmc import CpmcOptions
from tinysegrank.proposals.crf import CrfEngine, potts_weights
from tinysegrank.proposals.curves import OracleCurve, OracleTally, oracle_curve, oracle_tally
from tinysegrank.proposals.divmbest import Engine, PastedSegments, Proposal, count_distinct, divmbest
from tinysegrank.proposals.expansion import expansion, potts_energy
from tinysegrank.proposals.features import FEATURE_NAMES, superpixel_features
from tinysegrank.proposals.paste import PasteEngine
from tinysegrank.proposals.paste_threshold import choose_threshold, fit_threshold, threshold_trial
from tinysegrank.proposals.perturb import PerturbedEngine, perturb_and_map
from tinysegrank.proposals.pipeline import ProposalOptions, engine_under, propose_image
from tinysegrank.proposals.pooling import pool
from tinysegrank.proposals.second_order import SecondOrderOptions
from tinysegrank.proposals.segment_model import SegmentModel, SegmentOptions
from tinysegrank.proposals.segment_scores import SegmentScorer, TrainingRows, training_rows
from tinysegrank.proposals.segments import Segments, segment_overlaps
from tinysegrank.proposals.store import ProposalStore
from tinysegrank.proposals.top import best_labellings, best_pastings
from tinysegrank.proposals.unary import SuperpixelClassifier, label_fractions

__all__ = [
    "CRITERIA",
    "FEATURE_NAMES",
    "Choice",
    "CpmcOptions",
    "CrfEngine",
    "Engine",
    "OracleCurve",
    "OracleTally",
    "PasteEngine",
    "PastedSegments",
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
    "engine_under",
    "expansion",
    "fit_threshold",
    "label_fractions",
    "oracle_curve",
    "oracle_tally",
    "perturb_and_map",
    "pool",
    "potts_energy",
    "potts_weights",
    "propose_image",
    "segment_overlaps",
    "superpixel_features",
    "threshold_trial",
    "training_rows",
    "trial",
]
