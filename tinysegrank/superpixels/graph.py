"""The graph of neighbouring superpixels, with the length and the colour contrast of each common border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.superpixels.slic import as_lab


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Neighbouring superpixels of one image.

    edges     | (E, 2) | int32   | superpixels a < b that touch, sorted by a, then b, each pair once
    boundary  | (E,)   | int64   | pairs of 4-neighbouring pixels, one in a and one in b; at least 1
    contrast  | (E,)   | float64 | mean squared Lab distance over these pairs
    areas     | (S,)   | int64   | pixels of each superpixel
    centroids | (S, 2) | float64 | mean row and column, pixels; 0 for a number that does not occur
    """

    edges: np.ndarray
    boundary: np.ndarray
    contrast: np.ndarray
    areas: np.ndarray
    centroids: np.ndarray


def contacts(superpixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the C pairs of 4-neighbouring pixels that are in different superpixels; return (edges, edge, one, other).

    superpixels | (H, W) | integer | 0..S-1
    edges       | (E, 2) | int32   | pairs of superpixels a < b, sorted by a, then b, each pair once
    edge        | (C,)   | int64   | row of `edges` that each pair of pixels belongs to
    one, other  | (C,)   | int64   | left or upper pixel, right or lower one; pixels are numbered row by row

    The horizontal pairs come first, row by row, then the vertical ones.

    Raises:
        ShapeError: superpixels are not a map (H, W), have no pixel, or a number is negative.
    """
    if superpixels.ndim != 2 or not superpixels.size or superpixels.min() < 0:
        raise ShapeError(f"superpixels {superpixels.shape} must be a map (H, W) of numbers from 0, none negative")
    pixel, flat = np.arange(superpixels.size).reshape(superpixels.shape), superpixels.ravel().astype(np.int64)
    pairs = []
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        across = superpixels[first] != superpixels[second]
        pairs.append((pixel[first][across], pixel[second][across]))
    one, other = np.concatenate(pairs, axis=1)  # (C,) each
    a, b, count = flat[one], flat[other], int(flat.max()) + 1
    keys, edge = np.unique(np.minimum(a, b) * count + np.maximum(a, b), return_inverse=True)
    return np.stack(np.divmod(keys, count), axis=1).astype(np.int32), edge, one, other


def region_graph(superpixels: np.ndarray, image: np.ndarray, *, lab: np.ndarray | None = None) -> RegionGraph:
    """Build the graph of neighbouring superpixels.

    superpixels | (H, W)              | integer  | 0..S-1
    image       | (H, W) or (H, W, 3) | uint8    | 0..255
    lab         | (H, W, 3)           | floating | CIE Lab of `image`, if computed already

    Returns:
        The RegionGraph; without edges if there is only one superpixel.

    Raises:
        ShapeError: superpixels, image or lab do not have the same size, or are empty; a superpixel number is negative;
            or, without `lab`, the image is not 8-bit grey or RGB.
    """
    if superpixels.shape != image.shape[:2]:
        raise ShapeError(f"superpixels {superpixels.shape} and image {image.shape} must have the same size")
    edges, edge, one, other = contacts(superpixels)
    lab = as_lab(image) if lab is None else lab
    if lab.shape != (*superpixels.shape, 3):
        raise ShapeError(f"lab must have shape {(*superpixels.shape, 3)}, got {lab.shape}")

    colours = lab.reshape(-1, 3)
    distances = np.square(colours[one].astype(np.float64) - colours[other]).sum(axis=1)  # (C,)
    boundary = np.bincount(edge, minlength=len(edges))  # (E,)
    total = np.bincount(edge, distances, len(edges))
    flat = superpixels.ravel()
    areas = np.bincount(flat)  # (S,)
    sums = np.stack([np.bincount(flat, axis.ravel()) for axis in np.indices(superpixels.shape)], axis=1)  # (S, 2)
    return RegionGraph(
        edges=edges,
        boundary=boundary,
        contrast=total / np.maximum(boundary, 1),
        areas=areas,
        centroids=sums / np.maximum(areas, 1)[:, None],
    )
