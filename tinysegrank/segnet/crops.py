"""Average the coarse map of an image with those of its four corner crops, which SegNet sees enlarged.

A crop's map is a finer grid over part of the image; it is resampled to the image's own cells, weighted by area. Not in
the paper.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.voc.preprocess import Window

CORNERS = 4


def corner_windows(share: float) -> tuple[Window, Window, Window, Window]:
    """Return the corner crops of any image: top left, top right, bottom left, bottom right.

    Args:
        share: side of a crop as a share of the image's; from 0.5 on the crops cover the image, at 1 each is all of it.

    Raises:
        ConfigError: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"share={share}: give the side of a crop as a share of the image's, above 0 and at most 1")
    near, far = (0.0, share), (1 - share, 1.0)
    top_left, top_right = (near[0], near[0], near[1], near[1]), (near[0], far[0], near[1], far[1])
    bottom_left, bottom_right = (far[0], near[0], far[1], near[1]), (far[0], far[0], far[1], far[1])
    return top_left, top_right, bottom_left, bottom_right


def mean_with_crops(coarse: np.ndarray, crops: np.ndarray, share: float) -> np.ndarray:
    """Average the coarse maps of images with those of their corner crops, weighted by the area covered.

    coarse  | (N, GH, GW, K)    | floating | class distributions of the whole images
    crops   | (4, N, GH, GW, K) | floating | class distributions of the crops, in the order of `corner_windows`
    returns | (N, GH, GW, K)    | as coarse | class distributions

    Each cell of the result is a weighted mean. The image's own map has weight 1; a crop's cell that overlaps this cell
    is weighted by the share of this cell that it covers.

    Raises:
        ShapeError: the shapes do not fit.
        ConfigError: the share is not above 0 and at most 1.
    """
    if coarse.ndim != 4 or crops.shape != (CORNERS, *coarse.shape):
        raise ShapeError(f"coarse {coarse.shape}, crops {crops.shape}: pass (N, GH, GW, K) and (4, N, GH, GW, K)")
    images, height, width, classes = coarse.shape
    total, weight = coarse.reshape(images, height * width, classes).copy(), np.ones((height * width, 1), coarse.dtype)
    for (top, left, bottom, right), maps in zip(corner_windows(share), crops, strict=True):
        areas = np.kron(cell_overlaps(top, bottom, height), cell_overlaps(left, right, width)).astype(coarse.dtype)
        total += areas @ maps.reshape(images, height * width, classes)  # (GH GW, GH GW) @ (N, GH GW, K)
        weight += areas.sum(axis=1, keepdims=True)
    return (total / weight).reshape(coarse.shape)  # (N, GH, GW, K)


def cell_overlaps(start: float, stop: float, count: int) -> np.ndarray:
    """Return how much of each cell along an image's side is covered by each cell of a window, 1-D.

    The side and the window, from `start` to `stop` as shares of the side, are both divided into `count` equal cells.

    returns | (count, count) | float64 | [r, i]: share of the image's cell r that the window's cell i covers, 0..1
    """
    cells = np.arange(count + 1) / count
    inner = start + (stop - start) * cells
    shared = np.minimum(cells[1:, None], inner[1:]) - np.maximum(cells[:-1, None], inner[:-1])  # (count, count)
    return count * np.maximum(shared, 0)
