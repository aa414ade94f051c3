"""Propose labellings of an image: superpixels, features, class probabilities, CRF, DivMBest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinysegrank.config import Options, option
from tinysegrank.proposals.crf.crf import CrfEngine, potts_weights
from tinysegrank.proposals.crf.inputs import classifier_inputs, map_features
from tinysegrank.proposals.crf.unary import SuperpixelClassifier
from tinysegrank.proposals.divmbest import Proposal, divmbest
from tinysegrank.segnet import TrunkMaps
from tinysegrank.superpixels import RegionGraph, region_graph, slic


@dataclass(frozen=True)
class ProposalOptions(Options):
    """Options for proposing.

    strength: weight of the Potts terms, nats per pixel of boundary without contrast.
    lam: weight of diversity, nats per pixel.
    count: number of proposals per image M.
    balance: power of the class priors that probabilities are divided by, 0..1; see `SuperpixelClassifier`.
    """

    strength: float = option(40.0, at_least=0)
    lam: float = option(0.4, at_least=0)
    count: int = option(10, at_least=1)
    balance: float = option(0.3, at_least=0, at_most=1)


def engine_under(
    log_probabilities: NDArray[np.floating],
    superpixels: NDArray[np.integer],
    graph: RegionGraph,
    options: ProposalOptions,
) -> CrfEngine:
    """Return the CRF of an image from the class probabilities of its superpixels.

    log_probabilities | (S, K) | floating | nats, balanced as `options` says
    superpixels       | (H, W) | integer  | 0..S-1

    Raises:
        ShapeError: the arrays do not fit each other.
    """
    weights = potts_weights(graph, strength=options.strength)
    return CrfEngine(-log_probabilities, graph.edges, weights, superpixels)


def propose_image(
    image: NDArray[np.uint8],
    classifier: SuperpixelClassifier,
    options: ProposalOptions,
    *,
    segments: int = 300,
    compactness: float = 20.0,
    method: Literal["integer", "scikit-image"] = "integer",
    features: Literal["hand", "trunk", "both"] = "hand",
    maps: TrunkMaps | None = None,
) -> list[Proposal]:
    """Find diverse labellings of an image.

    image | (H, W) or (H, W, 3) | uint8 | 0..255; any size

    Args:
        classifier: fitted on superpixels made with the same `segments`, `compactness` and `method`, on the same
            `features`.
        options: the options; see `ProposalOptions`.
        segments: see `superpixels.slic`.
        compactness: see `superpixels.slic`.
        method: see `superpixels.slic`.
        features: see `classifier_inputs`.
        maps: computes the trunk's maps; not needed for "hand".

    Returns:
        `options.count` proposals, the best first; their scores are minus the CRF's energy in nats.

    Raises:
        ShapeError: the image is not 8-bit grey or RGB, or has no pixel.
        ConfigError: `method` or `features` is unknown, or `maps` is missing.
    """
    superpixels = slic(image, segments=segments, compactness=compactness, method=method)
    graph = region_graph(superpixels, image)
    of_maps = None if maps is None else map_features(maps(image), superpixels)
    inputs = classifier_inputs(image, superpixels, graph, features=features, maps=of_maps)
    log_probabilities = classifier.log_probabilities(inputs.columns, balance=options.balance)
    return divmbest(engine_under(log_probabilities, superpixels, graph, options), options.lam, options.count)
