"""Features of a superpixel: its colour, texture and position, and colour and texture around it. No ConvNet."""

from __future__ import annotations

from functools import cache

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.superpixels import RegionGraph, as_lab, as_rgb

HUES, ORIENTATIONS = 8, 8
PATTERNS = 10  # rotation-invariant uniform local binary patterns of 8 neighbours: 0..8 bits set, and all others
PALETTE = 4  # bins along each axis of the joint histogram over R, G, B
SPREAD = 6  # steps of averaging over neighbours that give the surroundings

COLOUR = tuple(f"{statistic}_{c}" for statistic in ("mean", "std") for c in "LabRGB")
COLOUR += tuple(f"hue_{k}" for k in range(HUES)) + tuple(f"palette_{k}" for k in range(PALETTE**3))
TEXTURE = tuple(f"{name}_{scale}" for scale in ("fine", "coarse") for name in ("mean_gradient", "std_gradient"))
TEXTURE += tuple(f"orientation_{scale}_{k}" for scale in ("fine", "coarse") for k in range(ORIENTATIONS))
TEXTURE += tuple(f"pattern_{scale}_{k}" for scale in ("fine", "coarse") for k in range(PATTERNS))
POSITION = ("row", "column", "off_centre", "height", "width", "log_area", "border")
APPEARANCE = COLOUR + TEXTURE
FEATURE_NAMES = (
    *APPEARANCE,
    *POSITION,
    *(f"{place}_{name}" for place in ("neighbours", "surroundings", "image") for name in APPEARANCE),
)


def superpixel_features(
    image: np.ndarray, superpixels: np.ndarray, graph: RegionGraph, *, lab: np.ndarray | None = None
) -> np.ndarray:
    """Describe each superpixel by colour, texture and position, and by the colour and texture around it.

    image       | (H, W) or (H, W, 3) | uint8    | 0..255
    superpixels | (H, W)              | integer  | 0..S-1, every number occurs
    graph       |                     |          | of the superpixels, from `region_graph`
    lab         | (H, W, 3)           | floating | CIE Lab of `image`, if computed already
    returns     | (S, D)              | float32  | columns as FEATURE_NAMES

    Colour and texture around a superpixel are averaged over its neighbours, weighted by the length of the common
    boundary; over its surroundings; and over the image, weighted by area. The average over the surroundings takes 6
    steps, each of which replaces every superpixel's values by the mean of these and of its neighbours' average.

    Raises:
        ShapeError: the image is not 8-bit grey or RGB, or its size is not that of the superpixels.
    """
    rgb = as_rgb(image)
    if superpixels.shape != rgb.shape[:2]:
        raise ShapeError(f"superpixels {superpixels.shape} and image {image.shape} must have the same size")
    lab = as_lab(image) if lab is None else lab
    appearance = np.concatenate([_colour(rgb, lab, superpixels), _texture(lab[..., 0], superpixels)], axis=1)
    return np.concatenate(
        [
            appearance,
            _position(superpixels, graph),
            *_context(appearance, graph),
            np.broadcast_to(graph.areas @ appearance / graph.areas.sum(), appearance.shape),
        ],
        axis=1,
    ).astype(np.float32)  # (S, D)


def _mean(values: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    """Average the values (H, W, C) of the pixels in each superpixel: (S, C)."""
    from scipy.sparse import csc_array

    pixels = superpixels.size
    column = np.ones(pixels, values.dtype), superpixels.ravel().astype(np.int32), np.arange(pixels + 1, dtype=np.int32)
    areas = np.bincount(superpixels.ravel())
    total = csc_array(column, shape=(len(areas), pixels)) @ values.reshape(pixels, -1)  # (S, C)
    return total / areas[:, None].astype(np.float64)


def _histogram(codes: np.ndarray, bins: int, superpixels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the weighted distribution of codes (H, W), 0..bins-1, over the pixels of each superpixel: (S, bins).

    Rows sum to 1, or to 0 where all weights are 0. Without `weights` all pixels count equally.
    """
    joint = (superpixels.astype(np.int32) * bins + codes).ravel()
    count = int(superpixels.max()) + 1
    table = np.bincount(joint, None if weights is None else weights.ravel(), count * bins).reshape(count, bins)
    return table / np.maximum(table.sum(axis=1, keepdims=True), 1e-6)


def _colour(rgb: np.ndarray, lab: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    values = np.concatenate([lab / 100, rgb / np.float32(255)], axis=2).astype(np.float32)  # (H, W, 6)
    moments = _mean(np.concatenate([values, np.square(values)], axis=2), superpixels)  # (S, 12)
    mean, square = moments[:, :6], moments[:, 6:]
    deviation = np.sqrt(np.maximum(square - np.square(mean), 0))
    # Hue as the angle in the a, b plane, weighted by chroma so that greys do not count.
    angle = np.arctan2(lab[..., 2], lab[..., 1])
    hue = _histogram(_angle_bin(angle, HUES, 2 * np.pi), HUES, superpixels, np.hypot(lab[..., 1], lab[..., 2]))
    level = rgb.astype(np.int32) * PALETTE >> 8  # (H, W, 3), 0..PALETTE-1
    palette = _histogram(level @ np.array([PALETTE**2, PALETTE, 1], np.int32), PALETTE**3, superpixels)
    return np.concatenate([mean, deviation, hue, np.sqrt(palette)], axis=1)


def _angle_bin(angle: np.ndarray, bins: int, period: float) -> np.ndarray:
    return np.floor(angle * np.float32(bins / period)).astype(np.int32) % bins


def _texture(lightness: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    moments, orientations, patterns = [], [], []
    for reach in (1, 3):  # fine, coarse
        smooth = lightness if reach == 1 else gaussian_filter(lightness, reach / 2)
        padded = np.pad(smooth, reach, mode="edge")
        height, width = smooth.shape

        def shifted(r: int, c: int, p: np.ndarray = padded, k: int = reach) -> np.ndarray:
            return p[k + r * k : k + r * k + height, k + c * k : k + c * k + width]  # noqa: B023

        down, right = shifted(1, 0) - shifted(-1, 0), shifted(0, 1) - shifted(0, -1)
        magnitude = np.hypot(down, right) / 100
        mean = _mean(np.stack([magnitude, np.square(magnitude)], axis=2), superpixels)  # (S, 2)
        moments += [mean[:, :1], np.sqrt(np.maximum(mean[:, 1:] - np.square(mean[:, :1]), 0))]
        turn = _angle_bin(np.arctan2(down, right), ORIENTATIONS, np.pi)
        orientations.append(_histogram(turn, ORIENTATIONS, superpixels, magnitude))
        code = np.zeros(smooth.shape, np.uint8)
        for bit, (r, c) in enumerate(((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))):
            code |= (shifted(r, c) > smooth).astype(np.uint8) << np.uint8(bit)
        patterns.append(_histogram(_uniform_patterns()[code], PATTERNS, superpixels))
    return np.concatenate([*moments, *orientations, *patterns], axis=1)


@cache
def _uniform_patterns() -> np.ndarray:
    """Map each code of 8 bits on a ring to its number of ones, or to 9 if the bits change more than twice: (256,)."""
    bits = np.arange(256)[:, None] >> np.arange(8) & 1  # (256, 8)
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), PATTERNS - 1).astype(np.int32)


def _position(superpixels: np.ndarray, graph: RegionGraph) -> np.ndarray:
    from scipy.ndimage import find_objects

    size = np.array(superpixels.shape)
    boxes = find_objects(superpixels + 1)
    low = np.array([[box[0].start, box[1].start] for box in boxes])  # (S, 2)
    high = np.array([[box[0].stop, box[1].stop] for box in boxes])  # (S, 2)
    centre = (graph.centroids + 0.5) / size
    border = ((low == 0) | (high == size)).any(axis=1)
    share = np.log(graph.areas / graph.areas.sum())
    off_centre = np.linalg.norm(centre - 0.5, axis=1)
    return np.column_stack([centre, off_centre, (high - low) / size, share, border])


def _context(features: np.ndarray, graph: RegionGraph) -> tuple[np.ndarray, np.ndarray]:
    """Return the features averaged over each superpixel's neighbours, and over its surroundings: (S, D) each.

    See `superpixel_features`. A superpixel without neighbours has its own features in both.
    """
    from scipy.sparse import csr_array, diags_array

    a, b = graph.edges[:, 0], graph.edges[:, 1]
    count = len(features)
    ends = np.append(a, b), np.append(b, a)
    shared = csr_array((np.tile(graph.boundary, 2).astype(np.float64), ends), shape=(count, count))
    total = shared.sum(axis=1)  # (S,)
    step = diags_array(1 / np.maximum(total, 1)) @ shared + diags_array((total == 0).astype(np.float64))
    neighbours = step @ features
    surroundings = features
    for _ in range(SPREAD):
        surroundings = (surroundings + step @ surroundings) / 2
    return neighbours, surroundings
