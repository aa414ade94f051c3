"""Chamfer histograms: agreement of a labelling's boundaries with the image's edges, in both directions."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysegrank.backend import accelerated
from tinysegrank.errors import ShapeError

THRESHOLDS = tuple(np.geomspace(0.05, 0.8, 10).round(3).tolist())
"""Strengths at which a pixel begins to be an edge; of a photograph's pixels three fifths reach the first, one in a
thousand the last."""
RADII = (1, 2, 4, 8, 16, 32)
"""Upper ends, inclusive, of the bins of distance in pixels; the first begins at 0, and larger distances are ignored."""
_BINS = len(RADII) + 1  # the last is for larger distances


def chamfer_feature_names(boundary: str) -> tuple[str, ...]:
    """Return the names of the 120 columns of `chamfer_features`; `boundary` is the boundary's name in them."""
    ways = (f"{boundary}_to_edges", f"edges_to_{boundary}")
    return tuple(
        f"{way}_from_{threshold}_within_{radius}" for way in ways for threshold in THRESHOLDS for radius in RADII
    )


class ImageEdges(NamedTuple):
    """The edges of an image, and for n of its pixels the distance and strength of the nearest edge at each threshold.

    strengths | (H, W)  | float32 | 0..1
    levels    | (H, W)  | uint8   | number of THRESHOLDS that the pixel reaches, 0..10
    rows      | (H, W)  | int32   | row of the pixel in `bins` and `nearest`; -1 for the other pixels
    bins      | (n, 10) | uint8   | bin of the distance by RADII, 0..5; 6 if there is no edge within 32 pixels
    nearest   | (n, 10) | float32 | strength of the nearest edge, the strongest of equally near ones; 0 if none
    """

    strengths: NDArray[np.float32]
    levels: NDArray[np.uint8]
    rows: NDArray[np.int32]
    bins: NDArray[np.uint8]
    nearest: NDArray[np.float32]


def boundary_pixels(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Mark the pixels that have a neighbour of another label above, below, left or right.

    labels  | (..., H, W) | integer or bool |
    returns | (..., H, W) | bool            | both sides of each boundary; the image's border is not a boundary
    """
    boundary = np.zeros(labels.shape, np.bool_)
    for axis in (-2, -1):
        ahead, back = (np.moveaxis(part, axis, 0) for part in (boundary, labels))
        differ = back[1:] != back[:-1]
        ahead[1:] |= differ
        ahead[:-1] |= differ
    return boundary


def image_edges(edges: NDArray[np.floating], wanted: NDArray[np.bool_]) -> ImageEdges:
    """Find the edge nearest to each wanted pixel at each threshold.

    edges  | (H, W) | floating | 0..1, as from `edge_map`
    wanted | (H, W) | bool     | boundary pixels of all proposals of the image

    The Numba version `fast.nearest_edges` runs unless TINYSEGRANK_ACCELERATE=0; the results are the same.

    Raises:
        ShapeError: the shapes differ, there is no pixel, or an edge is outside 0..1.
    """
    if edges.ndim != 2 or not edges.size or wanted.shape != edges.shape:
        raise ShapeError(f"edges: shape {edges.shape} is not that of the labels, {wanted.shape}")
    if not ((edges >= 0) & (edges <= 1)).all():
        raise ShapeError("edges: all must be in 0..1")
    strengths = np.ascontiguousarray(edges, np.float32)
    thresholds = np.array(THRESHOLDS, np.float32)
    levels = np.searchsorted(thresholds, strengths, side="right").astype(np.uint8)  # (H, W)
    places = np.argwhere(wanted)  # (n, 2)
    rows = np.full(edges.shape, -1, np.int32)
    rows[wanted] = np.arange(len(places))
    if accelerated():
        from tinysegrank.ranking.features import fast  # numba loads slowly

        found = fast.nearest_edges(strengths, levels, places, len(THRESHOLDS), *_disc(), _bin_of_squares())
        return ImageEdges(strengths, levels, rows, *found)
    return ImageEdges(strengths, levels, rows, *_nearest_edges(strengths, places))


def _nearest_edges(
    edges: NDArray[np.float32], places: NDArray[np.integer]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Search outwards from each of n pixels for its nearest edges, one ring of equal distance at a time.

    edges   | (H, W)           | float32           | strengths
    places  | (n, 2)           | integer           | row and column of each pixel
    returns | (n, 10), (n, 10) | uint8 and float32 | `bins` and `nearest` of `ImageEdges`
    """
    padded = np.pad(edges, RADII[-1], constant_values=-1)
    thresholds = np.array(THRESHOLDS, np.float32)
    bins = np.full((len(places), len(THRESHOLDS)), len(RADII), np.uint8)
    nearest = np.zeros(bins.shape, np.float32)
    offsets, starts, _ = _disc()
    for start, end in pairwise(starts):
        seen = places[:, None] + offsets[start:end] + RADII[-1]  # (n, ring, 2)
        strongest = padded[seen[..., 0], seen[..., 1]].max(axis=1)[:, None]  # (n, 1)
        met = (strongest >= thresholds) & (bins == len(RADII))  # (n, 10)
        bins[met] = _bin_of_squares()[(offsets[start] ** 2).sum()]
        nearest[met] = np.broadcast_to(strongest, met.shape)[met]
    return bins, nearest


@cache
def _disc() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """List the offsets of the pixels within the largest radius, in rings of equal distance from the centre.

    returns | (o, 2)    | row and column of each offset, the nearest first
            | (R + 1,)  | index of the first offset of each of the R rings; o at the end
            | (1026,)   | number of the ring of each squared distance 0, 1, ...; meaningless if no ring has it
    """
    reach = RADII[-1]
    offsets = np.argwhere(np.ones((2 * reach + 1, 2 * reach + 1))) - reach  # (o, 2)
    squared = (offsets**2).sum(axis=1)
    order = np.argsort(squared, kind="stable")
    order = order[squared[order] <= reach**2]
    rings, starts = np.unique(squared[order], return_index=True)
    return offsets[order], np.append(starts, len(order)), np.searchsorted(rings, np.arange(reach**2 + 2))


@cache
def _bin_of_squares() -> NDArray[np.uint8]:
    """Return the bin of each squared distance 0, 1, ...; the last entry is for all beyond the largest radius."""
    return np.searchsorted(np.square(RADII), np.arange(RADII[-1] ** 2 + 2)).astype(np.uint8)


def chamfer_features(edges: ImageEdges, boundary: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Compare one boundary with the edges of the image.

    The first 60 columns are for each threshold and each bin of distance: the sum of the strengths of the boundary
    pixels' nearest edges at the threshold, over those whose distance is in the bin. The other 60 are the sum of the
    strengths of the edge pixels at the threshold whose distance to the boundary is in the bin. All 120 are divided by
    their sum.

    boundary | (H, W) | bool    | its pixels must be among those wanted in `image_edges`
    returns  | (120,) | float32 | 0 or more, sum 1; all 0 if there is no boundary, or no edge near it

    The Numba version of the second half is `fast.edges_to_boundary`; the results are the same.

    Source: Segm_extract_measurements_on_sol.m of the DivMBest release, for 10 thresholds, 6 distances, 2 directions,
    and sums of edge strengths divided by their total. Our choices: the edges (gPb's there), the thresholds, the radii,
    and to use the nearest edge's strength.
    """
    rows = edges.rows[boundary]  # (n,)
    forth = _sums(np.arange(len(THRESHOLDS)), edges.bins[rows], edges.nearest[rows])[:-1]  # (10, 7)
    if accelerated():
        from tinysegrank.ranking.features import fast  # numba loads slowly

        marks = np.ascontiguousarray(boundary).view(np.uint8)
        back = fast.edges_to_boundary(edges.strengths, edges.levels, marks, _bin_of_squares())  # (11, 7)
    else:
        back = _edges_to_boundary(edges, boundary)  # (11, 7)
    reached = back[:0:-1].cumsum(axis=0)[::-1]  # (10, 7), at each threshold or above
    both = np.concatenate([forth[:, :-1].ravel(), reached[:, :-1].ravel()])  # (120,)
    return np.asarray(both / (both.sum() or 1), np.float32)


def _edges_to_boundary(edges: ImageEdges, boundary: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the sums of all pixels' edge strengths by level and by bin of the distance to the boundary: (11, 7)."""
    from scipy.ndimage import distance_transform_edt

    if not boundary.any():  # the transform would give meaningless distances
        return _sums(edges.levels, np.array(len(RADII)), edges.strengths)
    squared = np.rint(distance_transform_edt(~boundary) ** 2).astype(np.int64)  # (H, W)
    return _sums(edges.levels, _bin_of_squares()[np.minimum(squared, RADII[-1] ** 2 + 1)], edges.strengths)


def _sums(
    levels: NDArray[np.integer], bins: NDArray[np.integer], strengths: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Add up strengths by level 0..10 and bin 0..6: (11, 7); `levels` and `bins` broadcast to the strengths' shape."""
    cells = np.broadcast_to(levels * np.int64(_BINS) + bins, strengths.shape)
    shape = (len(THRESHOLDS) + 1, _BINS)
    return np.asarray(np.bincount(cells.ravel(), strengths.ravel(), shape[0] * shape[1]).reshape(shape), np.float64)
