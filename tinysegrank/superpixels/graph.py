"""The graph of neighbouring superpixels, with the length and the colour contrast of each common border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError
from tinysegrank.superpixels.slic import as_rgb


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Neighbouring superpixels of one image.

    edges     | (E, 2) | int32   | a < b, sorted by a, then b, each pair once
    boundary  | (E,)   | int64   | pairs of 4-neighbouring pixels, one in a and one in b; at least 1
    contrast  | (E,)   | float64 | mean squared Lab distance over these pairs
    areas     | (S,)   | int64   | pixels
    centroids | (S, 2) | float64 | mean row and column, pixels; 0 for a number that does not occur
    """

    edges: NDArray[np.int32]
    boundary: NDArray[np.int64]
    contrast: NDArray[np.float64]
    areas: NDArray[np.int64]
    centroids: NDArray[np.float64]


def region_graph(
    superpixels: NDArray[np.integer], image: NDArray[np.uint8], *, lab: NDArray[np.floating] | None = None
) -> RegionGraph:
    """Build the graph of neighbouring superpixels.

    superpixels | (H, W)              | integer  | 0..S-1
    image       | (H, W) or (H, W, 3) | uint8    | 0..255
    lab         | (H, W, 3)           | floating | CIE Lab of `image`, if computed already

    Returns:
        The RegionGraph; without edges if there is one superpixel only.

    Raises:
        ShapeError: superpixels, image or lab do not have the same size, or a superpixel number is negative.
    """
    if superpixels.ndim != 2 or superpixels.shape != image.shape[:2] or superpixels.size == 0:
        raise ShapeError(f"superpixels {superpixels.shape} and image {image.shape} must have the same, non-zero size")
    if superpixels.min() < 0:
        raise ShapeError("superpixels must be numbered from 0, found a negative number")
    if lab is None:
        from skimage.color import rgb2lab

        lab = rgb2lab(as_rgb(image).astype(np.float32) / 255)
    if lab.shape != (*superpixels.shape, 3):
        raise ShapeError(f"lab must have shape {(*superpixels.shape, 3)}, got {lab.shape}")

    count = int(superpixels.max()) + 1
    keys, distances = [], []
    for first, second in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1, :], np.s_[1:, :]),
    ):
        a, b = superpixels[first], superpixels[second]
        across = a != b
        a, b = a[across].astype(np.int64), b[across].astype(np.int64)  # (pairs,)
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        step = lab[first][across].astype(np.float64) - lab[second][across]  # (pairs, 3)
        distances.append(np.square(step).sum(axis=1))
    pairs, edge_of_pair = np.unique(np.concatenate(keys), return_inverse=True)
    boundary = np.bincount(edge_of_pair, minlength=len(pairs))
    total = np.bincount(edge_of_pair, weights=np.concatenate(distances), minlength=len(pairs))

    flat = superpixels.ravel()
    areas = np.bincount(flat, minlength=count)
    rows, columns = np.divmod(np.arange(flat.size), superpixels.shape[1])
    sums = np.stack([np.bincount(flat, weights=axis, minlength=count) for axis in (rows, columns)], axis=1)  # (S, 2)
    return RegionGraph(
        edges=np.stack(np.divmod(pairs, count), axis=1).astype(np.int32),  # (E, 2)
        boundary=boundary,
        contrast=total / np.maximum(boundary, 1),
        areas=areas,
        centroids=sums / np.maximum(areas, 1)[:, None],
    )
