"""Inputs of the superpixel classifier, hand-made features or the trunk's maps, and its targets, shares of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals.crf.features import superpixel_features
from tinysegrank.stored_rows import RowFile
from tinysegrank.superpixels import RegionGraph, pool_maps
from tinysegrank.voc import VOID, check_labels

FEATURES = ("hand", "trunk", "both")


class MapFeatures(NamedTuple):
    """Means of the trunk's maps over an image's superpixels and over the whole image.

    superpixels | (S, C) | float16 | mean over each superpixel; the layers' channels one after the other
    image       | (C,)   | float16 | mean over the image
    """

    superpixels: np.ndarray
    image: np.ndarray


def map_features(maps: Sequence[np.ndarray], superpixels: np.ndarray) -> MapFeatures:
    """Average an image's maps over its superpixels and over the whole image.

    maps        | each (C, h, w) | floating | from `segnet.TrunkMaps`
    superpixels | (H, W)         | integer  | 0..S-1

    Raises:
        ShapeError: there are no maps, one is not (C, h, w) or has no cell, or the superpixels are not (H, W), are
            empty or have a negative number.
    """
    pooled = pool_maps(maps, superpixels)
    mean = np.concatenate([part.mean(axis=(1, 2)) for part in maps])
    return MapFeatures(pooled.astype(np.float16), mean.astype(np.float16))


class Inputs(NamedTuple):
    """The classifier's input columns for one image; those that all its superpixels share are stored once.

    own    | (S, D) | float32 | columns of each superpixel
    shared | (E,)   | float32 | columns of the image, the same for all superpixels
    """

    own: np.ndarray
    shared: np.ndarray

    @property
    def columns(self) -> np.ndarray:
        """All columns of each superpixel, its own and the shared ones: (S, D + E) float32."""
        return np.concatenate([self.own, np.broadcast_to(self.shared, (len(self.own), len(self.shared)))], axis=1)


def classifier_inputs(
    image: np.ndarray,
    superpixels: np.ndarray,
    graph: RegionGraph,
    *,
    features: str = "hand",
    maps: MapFeatures | None = None,
    lab: np.ndarray | None = None,
) -> Inputs:
    """Describe the superpixels of an image for `SuperpixelClassifier`.

    image       | (H, W) or (H, W, 3) | uint8    | 0..255
    superpixels | (H, W)              | integer  | 0..S-1, every number occurs
    graph       |                     |          | of the superpixels, from `region_graph`
    lab         | (H, W, 3)           | floating | CIE Lab of `image`, if computed already

    Args:
        features: "hand" for `superpixel_features`; "trunk" for the means of the maps over the superpixel and over the
            image, and the row and column of the superpixel's centroid, 0..1; "both" for all of them.
        maps: result of `map_features` for these superpixels; not needed for "hand".

    Raises:
        ShapeError: the arrays do not fit each other, or `superpixel_features` raises it.
        ConfigError: `features` is unknown, or `maps` is missing.
    """
    if features not in FEATURES:
        raise ConfigError(f'features="{features}": choose one of {", ".join(FEATURES)}')
    parts, shared = [], np.zeros(0, np.float32)
    if features != "hand":
        if maps is None:
            raise ConfigError(f'features="{features}": give maps, made by map_features')
        if len(maps.superpixels) != len(graph.areas):
            raise ShapeError(f"maps: {len(maps.superpixels)} rows for {len(graph.areas)} superpixels")
        centroids = (graph.centroids + 0.5) / np.array(superpixels.shape)  # (S, 2), 0..1
        parts += [maps.superpixels.astype(np.float32), centroids.astype(np.float32)]
        shared = maps.image.astype(np.float32)
    if features != "trunk":
        parts.append(superpixel_features(image, superpixels, graph, lab=lab))
    return Inputs(np.concatenate(parts, axis=1), shared)


class InputTable:
    """The inputs of many images one after the other; rows are assembled when they are read.

    own    | (S, D) | floating | columns of each superpixel; may be on disk
    shared | (N, E) | floating | columns of each image
    images | (S,)   | integer  | number of each superpixel's image

    Raises:
        ShapeError: the arrays do not fit each other.
    """

    def __init__(self, own: np.ndarray | RowFile, shared: np.ndarray, images: np.ndarray) -> None:
        if own.ndim != 2 or shared.ndim != 2 or images.shape != own.shape[:1]:
            raise ShapeError(
                f"own (S, D), shared (N, E) and images (S,) are needed, got {own.shape}, {shared.shape}, {images.shape}"
            )
        self.own, self.shared, self.images = own, shared, images
        self.shape = (len(own), own.shape[1] + shared.shape[1])

    def __len__(self) -> int:
        return len(self.own)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows, (R, D + E) float32, of the superpixels with these numbers, (R,)."""
        found = np.empty((len(rows), self.shape[1]), np.float32)
        found[:, : self.own.shape[1]] = self.own[rows]
        found[:, self.own.shape[1] :] = self.shared[self.images[rows]]
        return found


def label_fractions(labels: np.ndarray, superpixels: np.ndarray, *, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the distribution of the true classes in each superpixel, and its number of non-void pixels.

    labels      | (H, W) | integer | 0..K-1, or 255 where void
    superpixels | (H, W) | integer | 0..S-1
    fractions   | (S, K) | float32 | rows sum to 1, or to 0 where all is void
    weights     | (S,)   | int64   | pixels that are not void

    Raises:
        ShapeError: the arrays differ in size, or labels are not integers.
        DatasetError: a label is neither a class nor void.
    """
    if labels.shape != superpixels.shape:
        raise ShapeError(f"labels {labels.shape} and superpixels {superpixels.shape} must have the same size")
    count = int(superpixels.max()) + 1
    labels = check_labels(labels, num_classes=num_classes)
    known = labels != VOID
    joint = superpixels[known].astype(np.int64) * num_classes + labels[known]
    pixels = np.bincount(joint, minlength=count * num_classes).reshape(count, num_classes)
    weights = pixels.sum(axis=1)
    return (pixels / np.maximum(weights, 1)[:, None]).astype(np.float32), weights
