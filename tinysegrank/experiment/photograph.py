"""Photographs as proposers see them: superpixels and the like are computed, or for images of the run, read."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tinysegrank.experiment.images import ImageOfRun
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import maps, pooled, segments
from tinysegrank.experiment.stages.superpixels import read_superpixels, superpixels_of
from tinysegrank.proposals import MapFeatures, MapMeans, Segments, map_features
from tinysegrank.superpixels import as_lab


class Photograph:
    """An image and the inputs of proposers, which are computed when asked for, as the run's stages compute them."""

    def __init__(self, run: Run, image: np.ndarray) -> None:
        self.run, self._image = run, image

    @cached_property
    def image(self) -> np.ndarray:
        """The image, (H, W, 3) uint8."""
        return self._image

    @cached_property
    def lab(self) -> np.ndarray:
        """CIE Lab of the image, (H, W, 3) float32."""
        return as_lab(self.image)

    @cached_property
    def superpixels(self) -> np.ndarray:
        """Superpixel of each pixel, (H, W) integers from 0."""
        return superpixels_of(self.image, self.run.settings)

    @cached_property
    def of_maps(self) -> MapFeatures:
        """Means of the trunk's maps over each superpixel and over the image."""
        return map_features(maps.load_maps(self.run)(self.image), self.superpixels)

    @cached_property
    def segments(self) -> Segments:
        """Segments of the image by CPMC, ordered by their ranker."""
        return segments.make_segments(self.run, self.image, self._means, lab=self.lab)

    @property
    def descriptions(self) -> np.ndarray:
        """Descriptions of the segments, (R, P) float32: hand-made, by the trunk's maps, or both side by side."""
        hand = by_maps = None
        if segments.by_hand(self.run.settings):
            hand = segments.load_describe(self.run)(self.image, self.segments)
        if pooled.used(self.run.settings):
            by_maps = pooled.load_describe(self.run)(self.segments, self._means())
        return beside(hand, by_maps)

    def _means(self) -> MapMeans:
        return MapMeans(self.superpixels, self.of_maps.superpixels, maps.channels(self.run))


class PhotographOfRun(Photograph):
    """An image of the run or its mirror image, from stored inputs; segments and descriptions always of the former."""

    def __init__(self, source: ImageOfRun, *, mirrored: bool = False) -> None:
        self.run, self.source, self.mirrored = source.run, source, mirrored

    @cached_property
    def image(self) -> np.ndarray:
        """The image, (H, W, 3) uint8."""
        return self._turned(self.source.image())

    @cached_property
    def superpixels(self) -> np.ndarray:
        """Superpixel of each pixel, (H, W) int32 from 0."""
        return self._turned(read_superpixels(self.source))

    @cached_property
    def of_maps(self) -> MapFeatures:
        """Means of the trunk's maps over each superpixel and over the image."""
        return maps.read_maps(self.source, mirrored=self.mirrored)

    @cached_property
    def segments(self) -> Segments:
        """Segments of the image by CPMC, ordered by their ranker."""
        return self._described[0]

    @property
    def descriptions(self) -> np.ndarray:
        """Descriptions of the segments, (R, P) float32: hand-made, by the trunk's maps, or both side by side."""
        by_maps = pooled.read_pooled(self.source)[: len(self.segments)] if pooled.used(self.run.settings) else None
        return beside(self._described[1], by_maps)

    @cached_property
    def _described(self) -> tuple[Segments, np.ndarray | None]:
        return segments.read_segments(self.source)

    def _turned(self, array: np.ndarray) -> np.ndarray:
        return array[:, ::-1] if self.mirrored else array


def beside(*descriptions: np.ndarray | None) -> np.ndarray:
    """Join the columns of several descriptions (R, P) of the same segments; those that are None are left out."""
    return np.concatenate([part for part in descriptions if part is not None], axis=1)
