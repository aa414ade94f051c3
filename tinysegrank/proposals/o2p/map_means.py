"""Describe segments by averages of the trunk's maps over the figure and over the ground around it.

The maps are stored as means over superpixels. A segment's average is that of these means, weighted by the pixels that
the segment shares with each superpixel, so one matrix product describes all segments of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.o2p.segments import Segments

GROUND_WEIGHT = 0.5
TINY = np.float32(1e-12)


class MapMeans(NamedTuple):
    """Means of the trunk's maps over the superpixels of an image; segments may consist of other superpixels.

    superpixels | (H, W)  | integer  | 0..S-1
    means       | (S, C)  | floating | at least 0; the layers' channels one after the other
    channels    |         |          | number of channels of each layer
    """

    superpixels: np.ndarray
    means: np.ndarray
    channels: tuple[int, ...]


def shared_pixels(segments: Segments, superpixels: np.ndarray) -> np.ndarray:
    """Count the pixels that each segment shares with each superpixel of another over-segmentation of its image.

    superpixels | (H, W) | integer | 0..S-1
    returns     | (R, S) | float32 | exact up to 2**24 pixels

    Raises:
        ShapeError: the superpixels are of an image of another size.
    """
    if superpixels.shape != segments.superpixels.shape:
        raise ShapeError(f"superpixels {superpixels.shape} do not fit segments {segments.superpixels.shape}")
    own, count = segments.members.shape[1], int(superpixels.max()) + 1
    pairs = segments.superpixels.astype(np.intp) * count + superpixels
    shared = np.bincount(pairs.ravel(), minlength=own * count).reshape(own, count)  # (own superpixels, S)
    return segments.members.astype(np.float32) @ shared.astype(np.float32)


def unit_roots(means: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    """Take the square roots of each row's means, and scale those of each layer to length 1.

    means    | (R, C) | floating | at least 0; the layers' channels one after the other
    channels |        | int      | number of channels of each layer; their sum is C
    returns  | (R, C) | float32  | 0 where all of a layer's means are 0

    Raises:
        ShapeError: the numbers of channels do not add up to C.
    """
    if means.ndim != 2 or means.shape[1] != sum(channels):
        raise ShapeError(f"means: (R, {sum(channels)}) is needed for channels {list(channels)}, got {means.shape}")
    roots = np.sqrt(means.astype(np.float32))
    stop = 0
    for width in channels:
        start, stop = stop, stop + width
        layer = roots[:, start:stop]
        layer /= np.maximum(np.linalg.norm(layer, axis=1, keepdims=True), TINY)
    return roots


def figure_and_ground(values: np.ndarray, areas: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the superpixels' values over each segment (the figure) and over the rest of the image (the ground).

    values  | (S, D)      | floating | of each superpixel
    areas   | (S,)        | number   | pixels of each superpixel
    shared  | (R, S)      | float32  | pixels of each segment in each superpixel, from `shared_pixels`
    returns | (R, D) each | float32  | figure, ground; 0 where there is none

    Raises:
        ShapeError: the arrays do not fit each other.
    """
    if shared.ndim != 2 or not shared.shape[1] == len(values) == len(areas):
        raise ShapeError(f"values {values.shape}, areas {areas.shape} and shared {shared.shape} do not fit each other")
    exact = values.astype(np.float32)
    figure, ground = (
        pixels @ exact / np.maximum(pixels.sum(axis=1, keepdims=True), 1)
        for pixels in (shared, areas.astype(np.float32) - shared)
    )
    return figure, ground


def mean_maps(means: np.ndarray, areas: np.ndarray, shared: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    """Describe segments by the averages of the maps over the figure and over the ground, as `unit_roots`.

    means    | (S, C)  | floating | mean of the maps over each superpixel, at least 0
    areas    | (S,)    | number   | pixels of each superpixel
    shared   | (R, S)  | float32  | pixels of each segment in each superpixel, from `shared_pixels`
    channels |         | int      | number of channels of each layer; their sum is C
    returns  | (R, 2C) | float32  | figure, then ground times GROUND_WEIGHT, 0.5; 0 where there is no ground

    Raises:
        ShapeError: the arrays do not fit each other.

    Source: Dai, He and Sun, "Convolutional feature masking for joint object and stuff segmentation", CVPR 2015, for
    features of segments from maps of the whole image; Hariharan et al., "Hypercolumns for object segmentation and
    fine-grained localization", CVPR 2015, for several layers beside each other.
    """
    figure, ground = (unit_roots(part, channels) for part in figure_and_ground(means, areas, shared))
    return np.concatenate([figure, np.float32(GROUND_WEIGHT) * ground], axis=1)
