"""Module 1 of the paper: propose a few diverse labellings of an image, by DivMBest on a model of the image.

The tables compare this package with its sources: the DivMBest release, and the O2P and CPMC in it. "Kept" follows the
source, "simplified" does less, "changed" does it differently, "left out" is missing here, "added" is new. The last
column says where; names are relative to this package.

DivMBest on a CRF
kept       | penalty of lambda on each node's last label, on top of earlier ones | crf.crf.CrfEngine.diversify
changed    | nodes are superpixels, weighted by their pixels | crf.crf.CrfEngine.diversify
changed    | expansion moves from the previous solution, not TRW-S | crf.expansion.expansion
left out   | a penalty only on nodes at the borders of labels | crf.crf.CrfEngine.diversify
added      | proposals of both engines in turn | divmbest.interleave
added      | unaries from the trunk's maps, averaged over superpixels and over the image | crf.inputs.classifier_inputs
simplified | hypercolumns: three layers of one input, means over superpixels, not pixels | crf.inputs.map_features
added      | two 1 x 1 convolutions, trained on shares of classes by AdamW | crf.unary.SuperpixelClassifier
added      | lambda by the oracle on held-out training images; how theirs was is unknown | choice.choose

DivMBest by pasting
kept       | a segment takes its best class or background; at most 3; the best on top | o2p.pasting.PasteEngine.solve
kept       | the j-th, from 0, must be 0.02 j above background; overlaps are not suppressed | o2p.pasting.SIMPLICITY
changed    | ranked and admitted by gain over its own background, not over the largest | o2p.pasting.PasteEngine.solve
kept       | lambda off pasted pairs for good, off other segments' background once | o2p.pasting.PasteEngine.diversify
changed    | backgrounds are reset in every image (in the release only in the last) | o2p.pasting.PasteEngine.diversify
changed    | penalties, not the noise that the release switches on | divmbest.divmbest
changed    | one threshold for all classes, chosen by accuracy on training images | choice.choose
left out   | the search on test images for a threshold that keeps 2.2 segments an image | choice.choose
kept       | lambda 0.08 is among those tried; the caller chooses M, in the paper 10 to 30 | o2p.pasting.LAMBDAS

Second-order pooling (in o2p.second_order)
kept       | eSIFT of figure and ground, eLBP of figure; step 4 | o2p.second_order.describe.describe_segments
left out   | eMSIFT: SIFT anew for each segment costs more than all else | o2p.second_order.describe.describe_segments
simplified | SIFT without Gaussian window | o2p.second_order.sift.dense_sift
kept       | 9 colours at the point itself, scaled | o2p.second_order.local.point_colours
kept       | 6 numbers of place, in the segment's box (ground: in the image) | o2p.second_order.pooling.placements
kept       | mean outer product, from sums over superpixels | o2p.second_order.pooling.superpixel_sums
added      | places are computed by a matrix after the sums | o2p.second_order.pooling.placed_averages
left out   | second-order maximum, used only for comparison in the source | o2p.second_order.pooling.placed_averages
kept       | logarithm of G + 0.001 I, an empty region gives 0 | o2p.second_order.pooling.log_matrices
kept       | upper triangle, nothing off the diagonal rescaled | o2p.second_order.pooling.upper_triangles
kept       | blocks to length 1, then all together; signed power 0.75 | o2p.second_order.pooling.normalise_blocks
added      | SIFT and patterns projected before pooling, for speed | o2p.second_order.reduction.DescriptorReduction
changed    | PCA, not centred: to 512, randomised, fitted on segments | o2p.second_order.reduction.Projection
added      | local descriptors from the trunk's maps, one per superpixel | o2p.second_order.maps.second_order_maps
added      | square roots of three layers, centred PCA to 48 | o2p.second_order.maps.MapReduction
simplified | convolutional feature masking: means over superpixels, no pyramid | o2p.map_means.mean_maps
kept       | target: largest overlap with an instance, void left out | o2p.scorer.training_rows
changed    | an object is a component of 100 pixels where there are no instances | o2p.scorer.training_rows
kept       | rows: segments, true masks, an object's best segment again if above 0.5 | o2p.scorer.training_rows
kept       | true masks also in the mirror image | o2p.segments.Segments.mirrored
simplified | true masks as superpixels | o2p.scorer.training_rows
kept       | targets centred by class, no bias, C = 3, epsilon = 0.25, squared | o2p.scorer.SegmentScorer
changed    | the repeated rows are centred too | o2p.scorer.SegmentScorer
changed    | Newton's method on all rows, not dual descent with mined ones | o2p.support_vectors.fit_regression

CPMC (in o2p.cpmc)
changed    | cuts of superpixels of the whole image, not of pixels at half size | o2p.cpmc.graph.oversegment
changed    | largest Sobel gradient over Lab, not gPb: milliseconds, not minutes | o2p.cpmc.graph.edge_map
changed    | 1000 exp(-max(e)/0.05) + 11, one rule for all segmenters | o2p.cpmc.graph.find_boundaries
kept       | exact cuts for every lambda: 0 and 20 from 0.001 up | o2p.cpmc.gains.lambdas o2p.cpmc.cuts.parametric_cuts
changed    | a maximum flow that is kept from lambda to lambda, not pseudoflow | crf.maxflow.nested_cuts
kept       | 5 x 5 seeds; a frame that costs less near the seed | o2p.cpmc.gains.grid_seeds
simplified | seeds of one size, not snapped to regions | o2p.cpmc.gains.grid_seeds
kept       | uniform gains up to 150 | o2p.cpmc.gains.uniform_gains
kept       | six hypotheses without a seed, with parts of the frame as background | o2p.cpmc.gains.frame_hypotheses
kept       | colour gains up to 300: 300 exp(-0.07 L1) to 5 colours of seed and frame | o2p.cpmc.gains.colour_gains
simplified | palettes of superpixels' mean colours, not random | o2p.cpmc.gains.palette
left out   | the third segmenter, a grid of windows | o2p.cpmc.pipeline.candidates
kept       | connected parts | o2p.cpmc.cuts.connected_parts
changed    | at least 100 pixels at full size, in the source at half size | o2p.cpmc.pipeline.CpmcOptions
simplified | cut ratio at most 250 (in the source 100 or 250), but 5 in any case | o2p.cpmc.filters.low_cut_ratios
kept       | 1000 at random, no two with IoU above 0.98, the best of each cluster at 0.05 | o2p.cpmc.pipeline.candidates
left out   | morphological opening: unions of superpixels have no thin threads | o2p.cpmc.filters.best_of_clusters
simplified | 19 numbers of shape, 6 of border and colour; no textons, no words | o2p.cpmc.description.segment_features
kept       | regression on random features of a Laplacian kernel, to the best overlap | o2p.cpmc.ranker.SegmentRanker
added      | means of the trunk's maps over figure and ground, PCA to 8 | o2p.second_order.maps.map_columns
kept       | ordered by 0.75 score - 0.25 overlap with those before; 150 at most | o2p.cpmc.filters.diverse_order
"""

from __future__ import annotations

from tinysegrank.proposals.choice import Choice, choose, trial
from tinysegrank.proposals.crf.crf import CrfEngine, potts_weights
from tinysegrank.proposals.crf.expansion import potts_energy
from tinysegrank.proposals.crf.features import FEATURE_NAMES, superpixel_features
from tinysegrank.proposals.crf.inputs import (
    FEATURES,
    Inputs,
    InputTable,
    MapFeatures,
    classifier_inputs,
    label_fractions,
    map_features,
)
from tinysegrank.proposals.crf.unary import SuperpixelClassifier
from tinysegrank.proposals.divmbest import Engine, PastedSegments, Proposal, count_distinct, divmbest, interleave
from tinysegrank.proposals.o2p.cpmc import CpmcOptions
from tinysegrank.proposals.o2p.map_means import MapMeans
from tinysegrank.proposals.o2p.options import MapPoolingOptions, SegmentOptions
from tinysegrank.proposals.o2p.pasting import PasteEngine
from tinysegrank.proposals.o2p.scorer import SegmentScorer, training_rows
from tinysegrank.proposals.o2p.second_order import MapReduction, SecondOrderOptions
from tinysegrank.proposals.o2p.segments import Segments, segment_overlaps
from tinysegrank.proposals.store import ProposalStore

__all__ = [
    "FEATURES",
    "FEATURE_NAMES",
    "Choice",
    "CpmcOptions",
    "CrfEngine",
    "Engine",
    "InputTable",
    "Inputs",
    "MapFeatures",
    "MapMeans",
    "MapPoolingOptions",
    "MapReduction",
    "PasteEngine",
    "PastedSegments",
    "Proposal",
    "ProposalStore",
    "SecondOrderOptions",
    "SegmentOptions",
    "SegmentScorer",
    "Segments",
    "SuperpixelClassifier",
    "choose",
    "classifier_inputs",
    "count_distinct",
    "divmbest",
    "interleave",
    "label_fractions",
    "map_features",
    "potts_energy",
    "potts_weights",
    "segment_overlaps",
    "superpixel_features",
    "training_rows",
    "trial",
]
