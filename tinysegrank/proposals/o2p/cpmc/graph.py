"""The graph that CPMC cuts: an edge map, superpixels along its edges, and the cost of separating neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.superpixels import as_lab, close_gaps, contacts

UNIT = 1000  # cost of separating two pixels without any edge, before `floor` is added; sums are rounded to integers
COMPACTNESS = 1e-3  # cost per pixel of distance from a superpixel's marker, in units of the edge map


def edge_map(image: np.ndarray, *, smoothing: float = 1.5, lab: np.ndarray | None = None) -> np.ndarray:
    """Measure the strength of the edge at each pixel, relative to the strongest in the image.

    image   | (H, W) or (H, W, 3) | uint8   | 0..255
    lab     | (H, W, 3)           | float32 | CIE Lab of `image`, if computed already
    returns | (H, W)              | float32 | 0..1; all 0 if the image has a single colour

    Args:
        smoothing: standard deviation in pixels of a Gaussian filter applied to each channel first.

    Raises:
        ShapeError: `lab` is of another size, or, without it, the image is not 8-bit grey or RGB.

    Source: Sobel's gradient, the largest of the three Lab channels; the original is Arbelaez et al., "Contour detection
    and hierarchical image segmentation", PAMI 2011.
    """
    from scipy import ndimage

    lab = as_lab(image) if lab is None else lab
    if lab.shape != (*image.shape[:2], 3):
        raise ShapeError(f"lab must have shape {(*image.shape[:2], 3)}, got {lab.shape}")
    strength = np.zeros(lab.shape[:2], np.float32)
    for channel in range(3):
        smooth = ndimage.gaussian_filter(lab[..., channel], smoothing, mode="nearest")
        gradient = np.hypot(*(ndimage.sobel(smooth, axis, mode="nearest") for axis in (0, 1)))
        np.maximum(strength, gradient, out=strength)
    top = strength.max()
    # Rounding leaves a one-colour image a gradient of about 1e-5, which must not be blown up to 1.
    return strength / top if top > 1e-3 else np.zeros_like(strength)


def oversegment(edges: np.ndarray, *, count: int = 800) -> np.ndarray:
    """Cut an image into about `count` connected superpixels along its edges, from markers on a square grid.

    edges   | (H, W) | floating | as from `edge_map`
    returns | (H, W) | int32    | 0..S-1, every number occurs; S is near `count`, fewer on small images

    Source: Neubert and Protzel, "Compact watershed and preemptive SLIC", ICPR 2014; scikit-image.
    """
    from skimage.segmentation import watershed

    height, width = edges.shape
    step = np.sqrt(height * width / count)
    down, across = (min(max(round(length / step), 1), length) for length in edges.shape)
    if down == 1:  # a strip narrower than the step: markers are closer along it
        across = min(count, width)
    elif across == 1:
        down = min(count, height)
    rows = np.floor((np.arange(down) + 0.5) * height / down).astype(int)
    columns = np.floor((np.arange(across) + 0.5) * width / across).astype(int)
    markers = np.zeros((height, width), np.int32)
    markers[np.ix_(rows, columns)] = 1 + np.arange(down * across).reshape(down, across)
    return close_gaps(watershed(edges, markers=markers, compactness=COMPACTNESS))  # (H, W)


class Boundaries(NamedTuple):
    """The boundaries between superpixels.

    edges    | (E, 2) | int32   | superpixels a < b on the two sides, sorted by a, then b, each pair once
    length   | (E,)   | int64   | pairs of 4-neighbouring pixels across the boundary, at least 1
    weight   | (E,)   | int64   | cost of separating a and b, the rounded sum over these pairs
    strength | (E,)   | float64 | mean edge strength over these pairs
    """

    edges: np.ndarray
    length: np.ndarray
    weight: np.ndarray
    strength: np.ndarray

    def crossed(self, members: np.ndarray) -> np.ndarray:
        """Return 1 for each boundary with only one side in the segment, else 0: (R, S) bool -> (R, E) float64."""
        a, b = self.edges.T
        return (members[:, a] != members[:, b]).astype(np.float64)


def find_boundaries(
    superpixels: np.ndarray, edges: np.ndarray, *, contrast: float = 0.05, floor: float = 11
) -> Boundaries:
    """Find the boundaries between neighbouring superpixels, with the cost of cutting along each and its edge strength.

    superpixels | (H, W) | integer  | 0..S-1
    edges       | (H, W) | floating | 0..1, as from `edge_map`

    Separating two neighbouring pixels costs 1000 * exp(-s / contrast) + floor, where s is the larger of their edge
    strengths. Cutting along a boundary costs the sum over the pairs of pixels across it.

    Args:
        contrast: edge strength at which the cost, minus the floor, has fallen to 1000 / exp(1).
        floor: added to the cost of every pair, so that boundaries stay short even along the strongest edges.

    Raises:
        ShapeError: the maps differ in size, are not (H, W) or are empty, or a number is negative.
    """
    if superpixels.shape != edges.shape:
        raise ShapeError(f"superpixels {superpixels.shape} and edges {edges.shape} must have the same size")
    (pairs, pair, one, other), flat = contacts(superpixels), edges.ravel()
    strength = np.maximum(flat[one], flat[other]).astype(np.float64)  # (C,)
    length = np.bincount(pair, minlength=len(pairs))  # (E,)
    cost = np.bincount(pair, UNIT * np.exp(-strength / contrast) + floor, len(pairs))
    mean = np.bincount(pair, strength, len(pairs)) / np.maximum(length, 1)
    return Boundaries(pairs, length, np.rint(cost).astype(np.int64), mean)
