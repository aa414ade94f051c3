"""Second-order pooling of the trunk's maps: superpixels are the local descriptors, weighted by their pixels.

The means of the maps over a superpixel, reduced to a few numbers, replace SIFT. A segment's mean outer product weights
each superpixel by the pixels that the two share, so a segment may cut through superpixels.

Source: Carreira, Caseiro, Batista and Sminchisescu, "Free-form region description with second-order pooling", PAMI
2014. There the local descriptors are hand-made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Self

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.fitted import Fitted
from tinysegrank.proposals.o2p.map_means import MapMeans, figure_and_ground, mean_maps, shared_pixels, unit_roots
from tinysegrank.proposals.o2p.second_order import pooling
from tinysegrank.proposals.o2p.second_order.reduction import longest
from tinysegrank.proposals.o2p.segments import Segments

CELL = 4.0  # side of a superpixel as a local descriptor, pixels; the placements scale it


class MapReduction(Fitted, tag="tinysegrank map reduction 1", shapes={"centre": ("C",), "directions": ("C", "d")}):
    """Projection of superpixels' `unit_roots` on their principal directions.

    centre     | (C,)   | float32 | mean over training superpixels
    directions | (C, d) | float32 | orthonormal columns, by decreasing eigenvalue

    Raises:
        ShapeError: the arrays do not fit each other.
    """

    def __init__(self, centre: np.ndarray, directions: np.ndarray) -> None:
        if directions.ndim != 2 or centre.shape != (len(directions),) or not 1 <= directions.shape[1] <= len(centre):
            raise ShapeError(
                f"centre (C,) and directions (C, d) with d of 1..C are needed, got {centre.shape}, {directions.shape}"
            )
        self.centre = centre
        self.directions = directions

    @classmethod
    def fit(cls, images: Iterable[np.ndarray], channels: Sequence[int], *, size: int = 48) -> Self:
        """Fit the centre and the principal directions of `unit_roots` to all superpixels of some images.

        Args:
            images: means of the maps over an image's superpixels, (S, C) each; read once, a hundred are enough.
            channels: number of channels of each layer; their sum is C.
            size: number of directions d, or C if that is less.

        Raises:
            ConfigError: there is no image.
            ShapeError: the numbers of channels do not add up to C.
        """
        count, total, moment = 0, np.zeros(sum(channels)), np.zeros((sum(channels), sum(channels)))
        for means in images:
            roots = unit_roots(means, channels).astype(np.float64)
            count += len(roots)
            total += roots.sum(axis=0)
            moment += roots.T @ roots
        if not count:
            raise ConfigError("images: give at least one to fit on")
        centre = total / count
        covariance = moment / count - np.outer(centre, centre)
        return cls(centre.astype(np.float32), longest(covariance, size))

    def apply(self, means: np.ndarray, channels: Sequence[int]) -> np.ndarray:
        """Return the local descriptors of superpixels from their means of the maps: (S, C) -> (S, d) float32.

        `channels` are the numbers of channels of the layers; their sum is C.

        Raises:
            ShapeError: the means are not (S, C) with the C of `fit`, or the numbers of channels do not add up to C.
        """
        if means.ndim != 2 or means.shape[1] != len(self.centre):
            raise ShapeError(f"means must be (S, {len(self.centre)}), got {means.shape}")
        return np.asarray((unit_roots(means, channels) - self.centre) @ self.directions, np.float32)


def second_order_maps(local: np.ndarray, superpixels: np.ndarray, shared: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Describe segments by second-order pooling over superpixels, for the figure and the ground around it.

    local       | (S, d)  | floating | a local descriptor of each superpixel, as from `MapReduction.apply`
    superpixels | (H, W)  | integer  | 0..S-1
    shared      | (R, S)  | float32  | pixels of each segment in each superpixel, from `shared_pixels`
    boxes       | (R, 4)  | floating | bounding box of each segment, from `bounding_boxes`
    returns     | (R, D)  | float32  | D = (d + 6) (d + 7); figure, ground (0 where there is none), normalised

    Raises:
        ShapeError: the arrays do not fit each other.
    """
    if shared.ndim != 2 or shared.shape[1] != len(local) or boxes.shape != (len(shared), 4):
        raise ShapeError(f"local {local.shape}, shared {shared.shape} and boxes {boxes.shape} do not fit each other")
    numbers, (height, width) = superpixels.ravel(), superpixels.shape
    areas = np.bincount(numbers, minlength=len(local))  # (S,)
    y, x = (
        np.bincount(numbers, axis.ravel(), len(local)) / np.maximum(areas, 1) for axis in np.indices(superpixels.shape)
    )
    placed = np.column_stack([local, x, y, np.full(len(local), CELL), np.ones(len(local))])  # (S, d + 4)
    blocks = []
    for pixels, frames, size in (
        (shared, boxes, pooling.FIGURE_SIZE),
        (areas.astype(np.float32) - shared, np.array([[0, 0, width, height]]), pooling.GROUND_SIZE),
    ):
        sums = (placed.T * pixels[:, None, :]) @ placed  # (R, d + 4, d + 4)
        means = pooling.placed_averages(sums, pooling.placements(frames, size))
        blocks.append(pooling.upper_triangles(pooling.log_matrices(means)))
    return pooling.normalise_blocks(blocks)


def describe_by_maps(segments: Segments, maps: MapMeans, reduction: MapReduction) -> tuple[np.ndarray, np.ndarray]:
    """Describe an image's segments by the trunk's maps in two ways: `second_order_maps` and `mean_maps`.

    returns | (R, D), (R, 2C) | float32 | not shortened by a `Projection` yet; D as in `second_order_maps`

    Raises:
        ShapeError: the segments, the maps and the reduction do not fit each other.
    """
    shared = shared_pixels(segments, maps.superpixels)
    boxes = pooling.bounding_boxes(segments.members, segments.superpixels)
    areas = np.bincount(maps.superpixels.ravel(), minlength=len(maps.means))
    pooled = second_order_maps(reduction.apply(maps.means, maps.channels), maps.superpixels, shared, boxes)
    return pooled, mean_maps(maps.means, areas, shared, maps.channels)


def map_columns(reduction: MapReduction, maps: MapMeans) -> Callable[[Segments], np.ndarray]:
    """Return the function that describes segments to CPMC's ranker: means over figure and ground, (R, 2d) float32."""
    local, superpixels = reduction.apply(maps.means, maps.channels), maps.superpixels
    areas = np.bincount(superpixels.ravel(), minlength=len(local))

    def columns(segments: Segments) -> np.ndarray:
        shared = shared_pixels(segments, superpixels)
        return np.concatenate(figure_and_ground(local, areas, shared), axis=1)  # (R, 2d)

    return columns
