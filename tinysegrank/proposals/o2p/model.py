"""Make and describe an image's segments: CPMC, second-order pooling, projection, and their fitted parameters."""

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

    cpmc: options for the segments.
    pooling: options for the descriptions.
    sift, lbp: dimensions kept of SIFT's 128 and of the 58 binary patterns before pooling; both 0 keeps all. The effect
        on the proposals is in tutorials/results.md.
    length: dimension that a description is projected to.
    seed: random seed for making segments; the same for every image.
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
    """CPMC's ranker, the reduction of local descriptors (None: not reduced) and the projection of descriptions."""

    options: SegmentOptions
    ranker: SegmentRanker
    reduction: DescriptorReduction | None
    projection: Projection

    def segments(self, image: NDArray[np.uint8]) -> Segments:
        """Make the segments of an image (H, W) or (H, W, 3), see `cpmc`; none for an image of one colour."""
        rng = np.random.default_rng(self.options.seed)
        return cpmc(image, self.ranker, options=self.options.cpmc, rng=rng)

    def describe(self, image: NDArray[np.uint8], segments: Segments) -> NDArray[np.float32]:
        """Describe the segments of an image: (R, P), the input of `SegmentScorer`."""
        described = describe_segments(image, segments, options=self.options.pooling, reduction=self.reduction)
        return self.projection.apply(described)

    def save(self, folder: Path) -> None:
        """Write the fitted parameters as safetensors files in a folder."""
        self.ranker.save(folder / _RANKER)
        if self.reduction is not None:
            self.reduction.save(folder / _REDUCTION)
        self.projection.save(folder / _PROJECTION)  # last, so that its presence means that the model is complete

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
