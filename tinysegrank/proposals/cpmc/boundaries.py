"""What it costs to part two neighbouring superpixels: little along an edge, much through an even surface."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError

UNIT = 1000  # cost of parting two pixels without any edge between them; costs are rounded to integers


class Boundaries(NamedTuple):
    """The boundaries between superpixels.

    edges    | (E, 2) | int32   | a < b, sorted by a, then b, each pair once
    length   | (E,)   | int64   | pairs of 4-neighbouring pixels that lie across, at least 1
    weight   | (E,)   | int64   | cost of parting a and b, the sum over these pairs
    strength | (E,)   | float64 | mean edge over these pairs
    """

    edges: NDArray[np.int32]
    length: NDArray[np.int64]
    weight: NDArray[np.int64]
    strength: NDArray[np.float64]


def find_boundaries(
    superpixels: NDArray[np.integer], edges: NDArray[np.floating], *, contrast: float = 0.05, floor: float = 11
) -> Boundaries:
    """Weigh the boundary between each two neighbouring superpixels.

    superpixels | (H, W) | integer  | 0..S-1
    edges       | (H, W) | floating | 0..1, as from `edge_map`

    A pair of pixels costs UNIT * exp(-max(e) / contrast) + floor, e being the edge at the two.

    Args:
        superpixels: see above.
        edges: see above.
        contrast: edge at which the cost has fallen to 1/e.
        floor: cost of parting two pixels across the strongest edge, so that boundaries stay short.

    Kept from CPMC: the exponential and the small constant (there 8 to 11, of the segmenter). Changed: the sum over a
    boundary is rounded to an integer for the cut; the larger edge of the two, as in the paper, since the map is not
    thinned.

    Raises:
        ShapeError: the maps differ in size, a number is negative, or an option is out of range.
    """
    if superpixels.ndim != 2 or superpixels.shape != edges.shape or superpixels.size == 0:
        raise ShapeError(f"superpixels {superpixels.shape} and edges {edges.shape} must have the same, non-zero size")
    if superpixels.min() < 0:
        raise ShapeError("superpixels must be numbered from 0, found a negative number")
    if not contrast > 0 or not 0 <= floor < float("inf"):
        raise ShapeError(f"contrast must be above 0 and floor at least 0, got {contrast}, {floor}")
    count = int(superpixels.max()) + 1
    keys, strengths = [], []
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = superpixels[first], superpixels[second]
        across = a != b
        a, b = a[across].astype(np.int64), b[across].astype(np.int64)  # (pairs,)
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        strengths.append(np.maximum(edges[first][across], edges[second][across]).astype(np.float64))
    strength = np.concatenate(strengths)
    pairs, edge_of_pair = np.unique(np.concatenate(keys), return_inverse=True)
    length = np.bincount(edge_of_pair, minlength=len(pairs))
    cost = np.bincount(edge_of_pair, UNIT * np.exp(-strength / contrast) + floor, len(pairs))
    return Boundaries(
        edges=np.stack(np.divmod(pairs, count), axis=1).astype(np.int32),  # (E, 2)
        length=length,
        weight=np.rint(cost).astype(np.int64),
        strength=np.bincount(edge_of_pair, strength, len(pairs)) / np.maximum(length, 1),
    )
