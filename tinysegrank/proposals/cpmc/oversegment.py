"""Superpixels whose borders follow edges: a watershed of the edge map from markers on a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.cpmc.edges import edge_map


def oversegment(
    image: NDArray[np.uint8],
    *,
    count: int = 800,
    compactness: float = 1e-3,
    edges: NDArray[np.floating] | None = None,
) -> NDArray[np.int32]:
    """Cut an image into about `count` connected superpixels along its edges.

    image   | (H, W) or (H, W, 3) | uint8    | 0..255
    edges   | (H, W)              | floating | its `edge_map`, if it is at hand already
    returns | (H, W)              | int32    | 0..S-1, every number occurs; S is near `count`, fewer on small images

    Args:
        image: the picture.
        count: how many superpixels to aim at.
        compactness: price of a pixel of distance from the marker, in units of the edge map; larger gives rounder ones.
        edges: see above.

    Takes the place of the pixels of CPMC, which the original also gives up after the cuts: it stores segments as unions
    of superpixels of an ultrametric contour map.

    Raises:
        ShapeError: the image is not 8-bit grey or RGB, `edges` are of another size, or an option is out of range.

    Source: Neubert and Protzel, "Compact watershed and preemptive SLIC", ICPR 2014; scikit-image.
    """
    from skimage.segmentation import watershed

    if count < 1 or not 0 <= compactness < float("inf"):
        raise ShapeError(f"count must be at least 1 and compactness at least 0, got {count}, {compactness}")
    if edges is None:
        edges = edge_map(image)
    if edges.shape != image.shape[:2]:
        raise ShapeError(f"edges {edges.shape} and image {image.shape} must have the same size")
    flooded = watershed(edges, markers=_markers(edges.shape, count), compactness=compactness)
    occurs = np.bincount(flooded.ravel()) > 0
    contiguous: NDArray[np.int32] = (np.cumsum(occurs) - 1)[flooded].astype(np.int32)  # (H, W)
    return contiguous


def _markers(shape: tuple[int, ...], count: int) -> NDArray[np.int32]:
    """Number about `count` pixels, on a grid with equal steps down and across, 1, 2, ...; 0 elsewhere."""
    height, width = shape
    step = np.sqrt(height * width / count)
    down, across = (min(max(round(length / step), 1), length) for length in shape)
    if down == 1:  # a strip narrower than the step, along which the markers lie closer
        across = min(count, width)
    elif across == 1:
        down = min(count, height)
    rows = np.floor((np.arange(down) + 0.5) * height / down).astype(int)
    columns = np.floor((np.arange(across) + 0.5) * width / across).astype(int)
    markers = np.zeros((height, width), np.int32)
    markers[np.ix_(rows, columns)] = 1 + np.arange(down * across).reshape(down, across)
    return markers
