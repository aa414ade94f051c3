"""Photographs as proposers see them: images of a run, whose superpixels and so on are stored, and any others."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tinysegrank.experiment.images import ImageOfRun
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import maps, pooled, segments
from tinysegrank.experiment.stages.segments import DescribedSegments
from tinysegrank.experiment.stages.superpixels import read_superpixels, superpixels_of
from tinysegrank.proposals import MapFeatures, MapMeans, Segments, map_features
from tinysegrank.superpixels import as_lab


class Photograph:
    """Any image (H, W, 3), and what proposers read of it, each computed once, as the run's stages do."""

    def __init__(self, run: Run, image: np.ndarray) -> None:
        self.run, self._image = run, image

    @cached_property
    def image(self) -> np.ndarray:
        """The image, (H, W, 3) uint8."""
        return self._image

    @cached_property
    def lab(self) -> np.ndarray:
        """Its CIE Lab, (H, W, 3) float32."""
        return as_lab(self.image)

    @cached_property
    def superpixels(self) -> np.ndarray:
        """Its superpixels, (H, W)."""
        return superpixels_of(self.image, self.run.settings)

    @cached_property
    def of_maps(self) -> MapFeatures:
        """The features of its superpixels from the trunk's maps."""
        return map_features(maps.load_maps(self.run)(self.image), self.superpixels)

    @cached_property
    def segments(self) -> Segments:
        """Its segments by CPMC."""
        return segments.make_segments(self.run, self.image, self._means, lab=self.lab)

    @property
    def descriptions(self) -> np.ndarray:
        """The descriptions of its segments, (R, P)."""
        hand = by_maps = None
        if segments.by_hand(self.run.settings):
            hand = segments.load_describe(self.run)(self.image, self.segments)
        if pooled.used(self.run.settings):
            by_maps = pooled.load_describe(self.run)(self.segments, self._means())
        return beside(hand, by_maps)

    def _means(self) -> MapMeans:
        return MapMeans(self.superpixels, self.of_maps.superpixels, maps.channels(self.run))


class PhotographOfRun(Photograph):
    """An image of the run, of which all this was stored by the stages; of its mirror image, all but segments."""

    def __init__(self, source: ImageOfRun, *, mirrored: bool = False) -> None:
        self.run, self.source, self.mirrored = source.run, source, mirrored

    @cached_property
    def image(self) -> np.ndarray:
        """The image, (H, W, 3) uint8."""
        return self._turned(self.source.image())

    @cached_property
    def superpixels(self) -> np.ndarray:
        """Its superpixels, (H, W)."""
        return self._turned(read_superpixels(self.source))

    @cached_property
    def of_maps(self) -> MapFeatures:
        """The features of its superpixels from the trunk's maps."""
        return maps.read_maps(self.source, mirrored=self.mirrored)

    @cached_property
    def segments(self) -> Segments:
        """Its segments by CPMC."""
        return self._described.segments

    @property
    def descriptions(self) -> np.ndarray:
        """The descriptions of its segments, (R, P)."""
        by_maps = pooled.read_pooled(self.source)[: len(self.segments)] if pooled.used(self.run.settings) else None
        return beside(self._described.features, by_maps)

    @cached_property
    def _described(self) -> DescribedSegments:
        return segments.read_segments(self.source)

    def _turned(self, array: np.ndarray) -> np.ndarray:
        return array[:, ::-1] if self.mirrored else array


def beside(*descriptions: np.ndarray | None) -> np.ndarray:
    """Return descriptions of the same segments beside each other, without those not asked for."""
    return np.concatenate([part for part in descriptions if part is not None], axis=1)
