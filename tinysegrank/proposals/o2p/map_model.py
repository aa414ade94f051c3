"""Describe an image's segments by the trunk's maps: pooling, projection, and their fitted parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tinysegrank.config import Options, option
from tinysegrank.proposals.o2p.map_means import mean_maps, shared_pixels
from tinysegrank.proposals.o2p.second_order.maps import MapReduction, second_order_maps
from tinysegrank.proposals.o2p.second_order.pooling import bounding_boxes
from tinysegrank.proposals.o2p.second_order.projection import Projection
from tinysegrank.proposals.o2p.segments import Segments

POOLINGS = ("second-order", "means")


@dataclass(frozen=True)
class MapPoolingOptions(Options):
    """Options for describing segments by the trunk's maps.

    pooling: the descriptions, one beside the other: "second-order", see `second_order_maps`; "means", see `mean_maps`.
    channels: dimensions kept of the maps' channels before second-order pooling.
    length: dimension that each description is projected to.
    """

    pooling: tuple[str, ...] = option(POOLINGS, choices=POOLINGS)
    channels: int = option(48, at_least=1)
    length: int = option(512, at_least=1)


@dataclass(frozen=True, eq=False)
class MapModel:
    """A reduction of the maps' channels, and one projection per description, in the order of `options.pooling`.

    `channels` has the number of channels of each layer of the maps.
    """

    options: MapPoolingOptions
    channels: tuple[int, ...]
    reduction: MapReduction
    projections: tuple[Projection, ...]

    @classmethod
    def fit(
        cls,
        options: MapPoolingOptions,
        channels: Sequence[int],
        reduction: MapReduction,
        descriptions: Sequence[NDArray[np.float32]],
        *,
        rng: np.random.Generator,
    ) -> Self:
        """Find the projections.

        Args:
            options: see `MapPoolingOptions`.
            channels: see the class.
            reduction: the fitted reduction.
            descriptions: for each pooling, those of training segments (N, D), as from `descriptions_by_maps`.
            rng: see `Projection.fit`.
        """
        projections = tuple(Projection.fit(rows, rng=rng, size=options.length) for rows in descriptions)
        return cls(options, tuple(channels), reduction, projections)

    def describe(
        self, segments: Segments, superpixels: NDArray[np.integer], means: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Describe the segments of an image: (R, P), input of `SegmentScorer`.

        superpixels | (H, W) | integer  | 0..S-1, any over-segmentation of the image
        means       | (S, C) | floating | means of the maps over these superpixels, at least 0

        Raises:
            ShapeError: the arrays do not fit each other.
        """
        found = descriptions_by_maps(self.options, self.channels, self.reduction, segments, superpixels, means)
        parts = [projection.apply(rows) for projection, rows in zip(self.projections, found, strict=True)]
        return np.concatenate(parts, axis=1)

    def save(self, folder: Path) -> None:
        """Write the fitted parameters as safetensors files in a folder."""
        self.reduction.save(reduction_file(folder))
        for pooling, projection in zip(self.options.pooling, self.projections, strict=True):
            projection.save(_projection_file(folder, pooling))

    @staticmethod
    def is_in(folder: Path, options: MapPoolingOptions) -> bool:
        """Return whether a folder has every file of a model with these options."""
        files = [reduction_file(folder), *(_projection_file(folder, pooling) for pooling in options.pooling)]
        return all(file.is_file() for file in files)

    @classmethod
    def load(cls, folder: Path, options: MapPoolingOptions, channels: Sequence[int]) -> Self:
        """Read a model that was fitted with these options.

        Raises:
            CheckpointError: a file is missing, damaged, or holds something else.
        """
        projections = tuple(Projection.load(_projection_file(folder, pooling)) for pooling in options.pooling)
        return cls(options, tuple(channels), MapReduction.load(reduction_file(folder)), projections)


def reduction_file(folder: Path) -> Path:
    """Return the path of the reduction in a model's folder."""
    return folder / "reduction.safetensors"


def _projection_file(folder: Path, pooling: str) -> Path:
    return folder / f"{pooling}.safetensors"


def descriptions_by_maps(
    options: MapPoolingOptions,
    channels: Sequence[int],
    reduction: MapReduction,
    segments: Segments,
    superpixels: NDArray[np.integer],
    means: NDArray[np.floating],
) -> Iterable[NDArray[np.float32]]:
    """Yield the descriptions of an image's segments (R, D) before projection, in the order of `options.pooling`.

    The arguments are those of `MapModel` and its `describe`.
    """
    shared = shared_pixels(segments, superpixels)
    for pooling in options.pooling:
        if pooling == "means":
            areas = np.bincount(superpixels.ravel(), minlength=len(means))
            yield mean_maps(means, areas, shared, channels)
        else:
            boxes = bounding_boxes(segments.members, segments.superpixels)
            yield second_order_maps(reduction.apply(means, channels), superpixels, shared, boxes)
