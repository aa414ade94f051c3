"""Soft coarse targets: the class distribution in each tile of an image's grid, weighted by the share not void."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tinysegrank.errors import DatasetError, ShapeError
from tinysegrank.voc.classes import NUM_CLASSES, VOID
from tinysegrank.voc.labels import check_labels, count_pairs


def tile_edges(length: int, count: int) -> np.ndarray:
    """Return the edges of `count` tiles along a side of `length` pixels: tile r is [edges[r], edges[r + 1]).

    returns | (count + 1,) | int64 | pixels, from 0 to `length`

    Edge r is r * length / count rounded to the nearest pixel, halves up. No tile is empty, and their sizes differ by
    at most one pixel. With an odd count there are no halves, so the tiles of the mirror image are the mirrored tiles.

    Raises:
        DatasetError: the side has fewer pixels than tiles, or `count` is below 1.
    """
    if not 1 <= count <= length:
        raise DatasetError(f"image: a side of {length} pixels is too small for {count} tiles; leave the image out")
    return (2 * length * np.arange(count + 1) + count) // (2 * count)


def tile_index(length: int, count: int) -> np.ndarray:
    """Return the tile of each pixel along a side, for the tiles of `tile_edges`: (length,) int64, 0..count-1."""
    return np.repeat(np.arange(count), np.diff(tile_edges(length, count)))


def soft_targets(
    labels: np.ndarray, *, grid: tuple[int, int] = (13, 13), num_classes: int = NUM_CLASSES, void: int | None = VOID
) -> tuple[np.ndarray, np.ndarray]:
    """Return the target (GH, GW, K) and weight (GH, GW) of one label map (H, W).

    For the arguments and errors see `soft_targets_many`.
    """
    if labels.ndim != 2:
        raise ShapeError(f"labels: shape {labels.shape} is not (H, W); soft_targets_many takes several maps")
    target, weight = soft_targets_many(labels[None], grid=grid, num_classes=num_classes, void=void)
    return target[0], weight[0]


def soft_targets_many(
    labels: np.ndarray, *, grid: tuple[int, int] = (13, 13), num_classes: int = NUM_CLASSES, void: int | None = VOID
) -> tuple[np.ndarray, np.ndarray]:
    """Return the class distribution in each tile of several label maps of one size, such as an image's proposals.

    labels | (M, H, W)       | integer | 0..num_classes-1, or `void`, which is None for proposals: they have no void
    target | (M, GH, GW, K)  | float32 | share of each class among a tile's non-void pixels; all 0 where there are none
    weight | (M, GH, GW)     | float32 | share of the tile's pixels that are not void

    Raises:
        ShapeError: the array is not three-dimensional, or not of integers.
        DatasetError: the images are smaller than the grid, or a label is neither a class nor void.

    Source: paper, section 4 (soft ground truth); leaving void out of a tile's shares is our choice.
    """
    if labels.ndim != 3:
        raise ShapeError(f"labels: shape {labels.shape} is not (M, H, W)")
    labels = check_labels(labels, num_classes=num_classes, void=void)
    row_edges, column_edges = tile_edges(labels.shape[1], grid[0]), tile_edges(labels.shape[2], grid[1])
    counts = tile_counts(labels, grid, num_classes)  # (M, GH, GW, K)
    valid = counts.sum(axis=-1)  # (M, GH, GW)
    tile_sizes = np.outer(np.diff(row_edges), np.diff(column_edges))
    target = (counts / np.maximum(valid, 1)[..., None]).astype(np.float32)  # (M, GH, GW, K)
    return target, (valid / tile_sizes).astype(np.float32)


def tile_counts(labels: np.ndarray, grid: tuple[int, int], num_classes: int) -> np.ndarray:
    """Count the pixels of each class in each tile of each label map.

    labels  | (M, H, W)         | uint8 | values from `num_classes` on are not counted
    returns | (M, GH, GW, K)    | int64 | pixels
    """
    tiles = _tiles(labels.shape[1:], grid)
    counts, _ = count_pairs(tiles, labels.reshape(len(labels), len(tiles)), (grid[0] * grid[1], num_classes))
    return counts.reshape(-1, *grid, num_classes)


@lru_cache(maxsize=64)  # images come in few sizes
def _tiles(shape: tuple[int, int], grid: tuple[int, int]) -> np.ndarray:
    """Return the number of each pixel's tile, tiles and pixels row by row: (H * W,), unsigned."""
    (height, width), (rows, columns) = shape, grid
    tiles = tile_index(height, rows)[:, None] * columns + tile_index(width, columns)  # (H, W)
    return tiles.ravel().astype(np.min_scalar_type(rows * columns))
