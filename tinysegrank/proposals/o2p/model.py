"""Make and describe an image's segments: CPMC, second-order pooling, projection, and their fitted parameters.

CPMC's ranker may also see the trunk's maps: the means of a few principal components over each segment and around it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysegrank.config import Options, option
from tinysegrank.errors import ConfigError
from tinysegrank.proposals.o2p.cpmc import Columns, CpmcOptions, SegmentRanker, cpmc
from tinysegrank.proposals.o2p.map_means import MapMeans, figure_and_ground, shared_pixels
from tinysegrank.proposals.o2p.second_order import (
    DescriptorReduction,
    MapReduction,
    Projection,
    SecondOrderOptions,
    describe_segments,
)
from tinysegrank.proposals.o2p.second_order.lbp import LBP_LENGTH
from tinysegrank.proposals.o2p.second_order.sift import SIFT_LENGTH
from tinysegrank.proposals.o2p.segments import Segments

_RANKER, _RANKER_MAPS = "ranker.safetensors", "ranker-maps.safetensors"
_REDUCTION, _PROJECTION = "reduction.safetensors", "projection.safetensors"


@dataclass(frozen=True)
class SegmentOptions(Options):
    """Options for making segments and describing them.

    cpmc: options for the segments.
    pooling: options for the descriptions.
    sift, lbp: dimensions kept of SIFT's 128 and of the 58 binary patterns before pooling; both 0 keeps all. The effect
        on the proposals is in tutorials/results.md.
    length: dimension that a description is projected to.
    rank_channels: dimensions kept of the trunk's maps to rank segments by, beside the 25 hand-made features.
    seed: random seed for making segments; the same for every image.
    """

    cpmc: CpmcOptions = field(default_factory=CpmcOptions)
    pooling: SecondOrderOptions = field(default_factory=SecondOrderOptions)
    sift: int = option(96, at_least=0, at_most=SIFT_LENGTH)
    lbp: int = option(58, at_least=0, at_most=LBP_LENGTH)
    length: int = option(512, at_least=1)
    rank_channels: int = option(0, at_least=0, note="0 ranks by hand-made features alone")
    seed: int = option(0, at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.sift == 0) != (self.lbp == 0):
            raise ConfigError(f"sift={self.sift}, lbp={self.lbp}: give 0 for both or for neither")


@dataclass(frozen=True, eq=False)
class SegmentModel:
    """CPMC's ranker, and what describes its segments.

    Attributes:
        options: see `SegmentOptions`.
        ranker: the ranker.
        reduction: of local descriptors; None: not reduced.
        projection: of descriptions; None: segments are not described.
        ranker_maps: reduction of the maps that the ranker sees; None: it sees none.
    """

    options: SegmentOptions
    ranker: SegmentRanker
    reduction: DescriptorReduction | None = None
    projection: Projection | None = None
    ranker_maps: MapReduction | None = None

    def segments(
        self, image: NDArray[np.uint8], maps: MapMeans | None = None, *, lab: NDArray[np.float32] | None = None
    ) -> Segments:
        """Make the segments of an image (H, W) or (H, W, 3), see `cpmc`; none for an image of one colour.

        Raises:
            ConfigError: the ranker was fitted on maps, and none are given.
        """
        rng, columns = np.random.default_rng(self.options.seed), map_columns(self.ranker_maps, maps)
        return cpmc(image, self.ranker, columns=columns, lab=lab, options=self.options.cpmc, rng=rng)

    def describe(self, image: NDArray[np.uint8], segments: Segments) -> NDArray[np.float32]:
        """Describe the segments of an image: (R, P), the input of `SegmentScorer`.

        Raises:
            ConfigError: the model has no projection.
        """
        if self.projection is None:
            raise ConfigError("projection: this model was fitted to make segments, not to describe them")
        described = describe_segments(image, segments, options=self.options.pooling, reduction=self.reduction)
        return self.projection.apply(described)

    def save(self, folder: Path) -> None:
        """Write the fitted parameters as safetensors files in a folder."""
        self.ranker.save(folder / _RANKER)
        if self.reduction is not None:
            self.reduction.save(folder / _REDUCTION)
        if self.ranker_maps is not None:
            self.ranker_maps.save(ranker_maps_file(folder))
        if self.projection is not None:
            self.projection.save(folder / _PROJECTION)

    @staticmethod
    def is_in(folder: Path, options: SegmentOptions, *, describes: bool = True) -> bool:
        """Return whether a folder has every file that `load` would read with these arguments."""
        files = [_RANKER, *([_RANKER_MAPS] if options.rank_channels else [])]
        if describes:
            files += [_PROJECTION, *([_REDUCTION] if options.sift else [])]
        return all((folder / file).is_file() for file in files)

    @classmethod
    def load(cls, folder: Path, options: SegmentOptions, describes: bool = True) -> SegmentModel:
        """Read a model that was fitted with these options.

        Args:
            folder: where it was saved.
            options: the options.
            describes: whether to read what describes segments too; without it, the model makes them and no more.

        Raises:
            CheckpointError: a file is missing, damaged, or holds something else.
        """
        reduction = DescriptorReduction.load(folder / _REDUCTION) if describes and options.sift else None
        projection = Projection.load(folder / _PROJECTION) if describes else None
        ranker_maps = MapReduction.load(ranker_maps_file(folder)) if options.rank_channels else None
        return cls(options, SegmentRanker.load(folder / _RANKER), reduction, projection, ranker_maps)


def ranker_maps_file(folder: Path) -> Path:
    """Return the path, in a model's folder, of the `MapReduction` that makes the ranker's map inputs."""
    return folder / _RANKER_MAPS


def map_columns(reduction: MapReduction | None, maps: MapMeans | None) -> Columns | None:
    """Return the function that gives the ranker its columns by maps: means over figure and ground; None: none.

    Raises:
        ConfigError: there is a reduction, but no maps.
    """
    if reduction is None:
        return None
    if maps is None:
        raise ConfigError("maps: give the means of the trunk's maps, which this ranker was fitted on")
    local, superpixels = reduction.apply(maps.means, maps.channels), maps.superpixels
    areas = np.bincount(superpixels.ravel(), minlength=len(local))

    def columns(segments: Segments) -> NDArray[np.float32]:
        shared = shared_pixels(segments, superpixels)
        return np.concatenate(figure_and_ground(local, areas, shared), axis=1)  # (R, 2d)

    return columns
