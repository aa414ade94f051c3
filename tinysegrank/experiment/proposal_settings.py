"""The settings of module 1: superpixels, the trunk's maps that describe them, and the engines that propose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinysegrank.config import Options, option
from tinysegrank.errors import ConfigError
from tinysegrank.proposals import FEATURES, MapPoolingOptions, SegmentOptions
from tinysegrank.proposals.o2p.pasting import LAMBDAS, THRESHOLDS
from tinysegrank.segnet import MAP_LAYERS, TRUNK
from tinysegrank.superpixels import METHODS
from tinysegrank.superpixels.slic import STRONGEST

if TYPE_CHECKING:
    from tinysegrank.experiment.proposers.protocol import Proposer

ENGINES: dict[str, tuple[Proposer, ...]] = {}
"""The ways of proposing by name, filled by `proposers`."""


@dataclass(frozen=True)
class SuperpixelSettings(Options):
    """Arguments of `superpixels.slic`; the superpixels are painted with coarse labels, and are the nodes of the CRF."""

    segments: int = option(300, at_least=1)
    compactness: float = option(20.0, more_than=0)
    method: str = option("integer", choices=METHODS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == "integer" and self.compactness > STRONGEST:
            raise ConfigError(f'compactness={self.compactness}: give at most {STRONGEST:g} with the method "integer"')


@dataclass(frozen=True)
class MapSettings(Options):
    """The trunk's maps that describe superpixels: `size` is the side of the square input in pixels, see `TrunkMaps`."""

    size: int = option(451, at_least=1)
    layers: tuple[str, ...] = option(MAP_LAYERS, choices=TRUNK)


@dataclass(frozen=True)
class CrfSettings(Options):
    """The CRF on superpixels.

    `features` are the inputs of its superpixel classifier: "hand" (hand-made, as published), "trunk" (means of the
    trunk's maps) or "both". With `mirrored`, the classifier also learns from mirror images; `epochs` is its number of
    passes over the training superpixels. Its probabilities are divided by the class priors to the power `balance`.
    All pairs of `strengths` (of the Potts terms) and `lambdas` (of diversity) are tried on `choice_images` images.
    """

    features: str = option("trunk", choices=FEATURES)
    mirrored: bool = True
    epochs: int = option(4, at_least=1)
    balance: float = option(0.3, at_least=0, at_most=1)
    strengths: tuple[float, ...] = option((10.0, 20.0, 40.0), at_least=0)
    lambdas: tuple[float, ...] = option((0.2, 0.4), at_least=0)
    choice_images: int = option(60, at_least=1)


@dataclass(frozen=True)
class PasteSettings(Options):
    """CPMC segments, second-order pooling and pasting.

    `features` describe the segments: "hand" (second-order pooling of hand-made descriptors, as published), "trunk" (the
    trunk's maps, pooled as `maps` says) or "both". The segments' ranker and projections are fitted on `fit_images`
    training images. `thresholds` (scores of the background), then `lambdas` (of diversity), are tried on
    `choice_images` images.
    """

    segments: SegmentOptions = field(default_factory=SegmentOptions)
    fit_images: int = option(150, at_least=1)
    thresholds: tuple[float, ...] = option(THRESHOLDS)
    lambdas: tuple[float, ...] = option(LAMBDAS, at_least=0)
    choice_images: int = option(200, at_least=1)
    features: str = option("hand", choices=FEATURES)
    maps: MapPoolingOptions = field(default_factory=MapPoolingOptions)


@dataclass(frozen=True)
class ProposalSettings(Options):
    """Module 1: the engine that proposes, and the number of proposals per image.

    `engine` is "crf", "paste", "both" (their proposals in turn), or "folder" for proposals made elsewhere and stored in
    `folder`. `count` is M. The engines' constants are chosen on training images of fold 0.
    """

    engine: str = option("crf", choices=ENGINES)
    count: int = option(10, at_least=1)
    folder: str = ""
    crf: CrfSettings = field(default_factory=CrfSettings)
    paste: PasteSettings = field(default_factory=PasteSettings)
