"""Description of a segment by 25 numbers: its shape, place and border, and its contrast with its surroundings.

Everything is a sum or an extreme over superpixels, or over their boundaries.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.o2p.cpmc.graph import UNIT, Boundaries
from tinysegrank.superpixels import as_rgb

SEGMENT_FEATURES = (
    "log_area",  # share of the image
    "row", "column",  # centroid, 0..1
    "off_centre",  # distance of the centroid from the image's centre, in half diagonals
    "top", "left", "bottom", "right",  # of the bounding box, 0..1
    "log_aspect",  # height of the box over its width
    "extent",  # share of the box that is filled
    "solidity",  # filled share of the smallest polygon around it with 16 sides in fixed directions
    "major_axis", "minor_axis",  # of the ellipse with the same second moments, in image diagonals
    "eccentricity",  # of that ellipse
    "upright", "slanted",  # cosine and absolute sine of twice the angle between its major axis and the vertical
    "compactness",  # 4 pi area / perimeter^2, the image's frame being part of the perimeter
    "frame_share",  # share of the perimeter that is on the frame
    "frame_cover",  # share of the frame that the segment touches
    "log_cut_ratio",  # mean cost of separating two pixels across the border
    "border_strength",  # mean edge along the border
    "inner_strength",  # mean edge between the segment's own superpixels
    "weak_border",  # share of the border whose edge is no stronger than the image's average
    "ring_contrast",  # chi-square distance of its colours from those of the superpixels that touch it
    "rest_contrast",  # the same, from the colours of all other superpixels
)  # fmt: skip

DIRECTIONS = 16
LEVELS = 6  # of each of R, G, B in the histograms
TINY = 1e-9


def segment_features(
    image: np.ndarray, superpixels: np.ndarray, boundaries: Boundaries, members: np.ndarray
) -> np.ndarray:
    """Compute 25 features of each segment: its shape, place and border, and its contrast with its surroundings.

    image       | (H, W) or (H, W, 3) | uint8   | 0..255
    superpixels | (H, W)              | integer | 0..S-1, every number occurs
    boundaries  |                     |         | between the superpixels, from `find_boundaries`
    members     | (R, S)              | bool    | superpixels of each segment, at least one
    returns     | (R, 25)             | float64 | finite; columns as SEGMENT_FEATURES

    Raises:
        ShapeError: the image is not 8-bit grey or RGB, or the arrays do not fit each other.

    Source: Carreira and Sminchisescu, PAMI 2012, section 4.
    """
    rgb = as_rgb(image)
    count = int(superpixels.max()) + 1 if superpixels.size else 0
    if superpixels.shape != rgb.shape[:2] or members.ndim != 2 or members.shape[1] != count:
        raise ShapeError(
            f"image {image.shape}, superpixels {superpixels.shape} and members {members.shape} do not fit each other"
        )
    inside = members.astype(np.float64)  # (R, S); its products run in BLAS
    parted = boundaries.crossed(members)  # (R, E)
    shape = _shape(inside, superpixels, parted @ boundaries.length)
    return np.column_stack([shape, _contrast(inside, rgb, superpixels, boundaries, parted)])


def _shape(inside: np.ndarray, superpixels: np.ndarray, border: np.ndarray) -> np.ndarray:
    sides = np.concatenate([superpixels[0], superpixels[-1], superpixels[:, 0], superpixels[:, -1]])
    frame = np.bincount(sides, minlength=inside.shape[1])  # (S,), pixels of the image's frame that each one touches
    height, width = superpixels.shape
    diagonal = np.hypot(height, width)
    y, x = (axis.ravel() + 0.5 for axis in np.indices(superpixels.shape, np.float64))
    sums = np.stack(  # (S, 6), over the pixels of a superpixel
        [np.bincount(superpixels.ravel(), values) for values in (np.ones_like(x), y, x, y * y, y * x, x * x)], axis=1
    )
    area, *moments = (inside @ sums).T  # (R,) each
    row, column, yy, yx, xx = (moment / area for moment in moments)
    # A pixel is a unit square: 1/12 is its own second moment.
    yy, xx, yx = yy - row**2 + 1 / 12, xx - column**2 + 1 / 12, yx - row * column
    spread = np.hypot((yy - xx) / 2, yx)
    major, minor = (4 * np.sqrt(np.maximum((yy + xx) / 2 + sign * spread, 0)) for sign in (1, -1))

    reach = _reach(inside, superpixels)  # (R, 16); 0 right, 4 down, 8 left, 12 up
    right, bottom, left, top = reach[:, 0], reach[:, 4], -reach[:, 8], -reach[:, 12]
    around = border + inside @ frame
    return np.column_stack(
        [
            np.log(area / superpixels.size),
            row / height,
            column / width,
            np.hypot(row - height / 2, column - width / 2) / (diagonal / 2),
            top / height,
            left / width,
            bottom / height,
            right / width,
            np.log((bottom - top) / (right - left)),
            area / ((bottom - top) * (right - left)),
            area / _polygon_area(reach),
            major / diagonal,
            minor / diagonal,
            np.sqrt(1 - np.minimum(minor / major, 1) ** 2),
            (yy - xx) / 2 / np.maximum(spread, TINY),
            np.abs(yx) / np.maximum(spread, TINY),
            4 * np.pi * area / np.maximum(around, 1) ** 2,
            (inside @ frame) / np.maximum(around, 1),
            (inside @ frame) / frame.sum(),
        ]
    )


def _reach(inside: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    """Return the coordinate of each segment's farthest point along 16 directions, clockwise from the right: (R, 16).

    The origin is the image's top left corner; pixels are unit squares.
    """
    count = inside.shape[1]
    of_superpixel = np.empty((count, DIRECTIONS))
    rows, columns = np.indices(superpixels.shape, np.float32)
    order = np.argsort(superpixels.ravel(), kind="stable")
    starts = np.searchsorted(superpixels.ravel()[order], np.arange(count))
    y, x = rows.ravel()[order], columns.ravel()[order]
    for k in range(DIRECTIONS):
        down, right = np.sin(2 * np.pi * k / DIRECTIONS), np.cos(2 * np.pi * k / DIRECTIONS)
        corner = max(down, 0) + max(right, 0)  # of the pixel's four, the one that reaches farthest
        of_superpixel[:, k] = np.maximum.reduceat(down * y + right * x, starts) + corner
    reach = np.empty((len(inside), DIRECTIONS))
    for r, row in enumerate(inside):
        reach[r] = of_superpixel[row > 0].max(axis=0)
    return reach


def _polygon_area(reach: np.ndarray) -> np.ndarray:
    """Return the area of the smallest polygon around each segment with sides that face `_reach`'s directions: (R,)."""
    turn = 2 * np.pi / DIRECTIONS
    after = np.roll(reach, -1, axis=1)
    angle = np.arange(DIRECTIONS) * turn
    # The corner of sides k and k + 1: its components along side k's direction and across it.
    across = (after - reach * np.cos(turn)) / np.sin(turn)
    x, y = reach * np.cos(angle) - across * np.sin(angle), reach * np.sin(angle) + across * np.cos(angle)
    return (x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1) / 2


def _contrast(
    inside: np.ndarray, rgb: np.ndarray, superpixels: np.ndarray, boundaries: Boundaries, parted: np.ndarray
) -> np.ndarray:
    a, b = boundaries.edges.T
    border = parted @ boundaries.length  # (R,)
    length = np.maximum(border, TINY)
    total = boundaries.length * boundaries.strength
    average = total.sum() / max(boundaries.length.sum(), 1)
    inner = inside[:, a] * inside[:, b]  # (R, E)
    weak = boundaries.length * (boundaries.strength <= average)
    cut_ratio = np.where(border > 0, parted @ boundaries.weight / length, UNIT)

    level = rgb.astype(np.int32) * LEVELS >> 8  # (H, W, 3)
    code = level @ np.array([LEVELS**2, LEVELS, 1], np.int32)
    histograms = np.bincount(  # (S, 216), pixels
        (superpixels.astype(np.int64) * LEVELS**3 + code).ravel(), minlength=inside.shape[1] * LEVELS**3
    ).reshape(inside.shape[1], -1)
    histograms = histograms[:, histograms.any(axis=0)].astype(np.float64)
    touched = np.zeros_like(inside)
    for own, other in ((a, b), (b, a)):
        which, edge = np.nonzero(inside[:, own] > inside[:, other])
        touched[which, other[edge]] = 1
    own = inside @ histograms  # (R, bins)
    return np.column_stack(
        [
            np.log(np.maximum(cut_ratio, 1)),
            parted @ total / length,
            inner @ total / np.maximum(inner @ boundaries.length, 1),
            parted @ weak / length,
            _chi_square(own, touched @ histograms),
            _chi_square(own, histograms.sum(axis=0) - own),
        ]
    )


def _chi_square(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the chi-square distance, 0..1, of two histograms in each row, each first scaled to sum 1: (R,)."""
    p, q = (h / np.maximum(h.sum(axis=1, keepdims=True), TINY) for h in (one, other))
    return (np.square(p - q) / np.maximum(p + q, TINY)).sum(axis=1) / 2
