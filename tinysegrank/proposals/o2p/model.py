"""From an image to its described segments: CPMC, second-order pooling, projection, with everything that is fitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysegrank.config import Options, option
from tinysegrank.errors import ConfigError
from tinysegrank.proposals.o2p.cpmc import CpmcOptions, SegmentRanker, cpmc
from tinysegrank.proposals.o2p.second_order import (
    DescriptorReduction,
    Projection,
    SecondOrderOptions,
    describe_segments,
)
from tinysegrank.proposals.o2p.second_order.lbp import LBP_LENGTH
from tinysegrank.proposals.o2p.second_order.sift import SIFT_LENGTH
from tinysegrank.proposals.o2p.segments import Segments

_RANKER, _REDUCTION, _PROJECTION = "ranker.safetensors", "reduction.safetensors", "projection.safetensors"


@dataclass(frozen=True)
class SegmentOptions(Options):
    """Options for making segments and describing them.

    cpmc: of the segments.
    pooling: of the descriptions.
    sift, lbp: numbers of SIFT's 128 and of the 58 binary patterns that are kept before pooling; both 0 keeps all. What
        the reduction costs the proposals is measured in tutorials/results.md.
    length: numbers a description is projected to.
    seed: of what is drawn while segments are made; the same for every image.
    """

    cpmc: CpmcOptions = field(default_factory=CpmcOptions)
    pooling: SecondOrderOptions = field(default_factory=SecondOrderOptions)
    sift: int = option(96, at_least=0, at_most=SIFT_LENGTH)
    lbp: int = option(58, at_least=0, at_most=LBP_LENGTH)
    length: int = option(512, at_least=1)
    seed: int = option(0, at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.sift == 0) != (self.lbp == 0):
            raise ConfigError(f"sift={self.sift}, lbp={self.lbp}: give 0 for both or for neither")


@dataclass(frozen=True, eq=False)
class SegmentModel:
    """CPMC's ranker, the reduction of local descriptors (None: in full) and the projection of descriptions."""

    options: SegmentOptions
    ranker: SegmentRanker
    reduction: DescriptorReduction | None
    projection: Projection

    def segments(self, image: NDArray[np.uint8]) -> Segments:
        """Segments of an image (H, W) or (H, W, 3), good and diverse ones first; none in an image of one colour."""
        rng = np.random.default_rng(self.options.seed)
        return cpmc(image, self.ranker, options=self.options.cpmc, rng=rng)

    def describe(self, image: NDArray[np.uint8], segments: Segments) -> NDArray[np.float32]:
        """Describe the segments of an image: (R, P), as `SegmentScorer` takes them."""
        described = describe_segments(image, segments, options=self.options.pooling, reduction=self.reduction)
        return self.projection.apply(described)

    def save(self, folder: Path) -> None:
        """Write what was fitted as safetensors files in a folder."""
        self.ranker.save(folder / _RANKER)
        if self.reduction is not None:
            self.reduction.save(folder / _REDUCTION)
        self.projection.save(folder / _PROJECTION)  # last: the model is whole once this is there

    @staticmethod
    def is_in(folder: Path, options: SegmentOptions) -> bool:
        """Return whether a folder has every file of a model with these options."""
        files = (_RANKER, _REDUCTION, _PROJECTION) if options.sift else (_RANKER, _PROJECTION)
        return all((folder / file).is_file() for file in files)

    @classmethod
    def load(cls, folder: Path, options: SegmentOptions) -> SegmentModel:
        """Read a model that was fitted with these options.

        Raises:
            CheckpointError: a file is missing, damaged, or holds something else.
        """
        reduction = DescriptorReduction.load(folder / _REDUCTION) if options.sift else None
        return cls(options, SegmentRanker.load(folder / _RANKER), reduction, Projection.load(folder / _PROJECTION))
