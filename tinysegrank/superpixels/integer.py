"""SLIC by hand, in whole numbers: k-means on colour and position in which each centre looks at its surroundings only.

Changed from the paper: the distance is squared and rounded; the image is smoothed first; centres start on the grid
itself, not at the lowest gradient beside it; there are always ten rounds, the last on all rows and each before it on
every third, other ones each time, as means of a third of the pixels are means; small parts join the neighbour most
alike in colour, not the one met last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.backend import accelerated
from tinysegrank.errors import ShapeError
from tinysegrank.superpixels.lab import UNIT, gaussian_weights, light_table, root_table

ROUNDS, STRIDE = 10, 3
STRONGEST, WIDEST = 500.0, 100.0  # what 32 bits have room for


def integer_slic(rgb: NDArray[np.uint8], *, segments: int, compactness: float, smoothing: float) -> NDArray[np.int32]:
    """Do as `slic.slic`, which see, with options that are known to be in its range.

    rgb     | (H, W, 3) | uint8 | 0..255
    returns | (H, W)    | int32 | 0..S-1 in the order of their first pixels, each connected along rows and columns

    The numba twins in `fast` and `fast_parts` do the work unless TINYSEGRANK_ACCELERATE=0; the results are equal.

    Raises:
        ShapeError: compactness is above 500, or smoothing above 100.

    Source: Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", PAMI 2012.
    """
    if compactness > STRONGEST or smoothing > WIDEST:
        raise ShapeError(
            f"compactness={compactness}, smoothing={smoothing}: this method needs at most {STRONGEST:g} and "
            f'{WIDEST:g}; choose less, or method="scikit-image"'
        )
    if accelerated():  # compiled on first use
        from tinysegrank.superpixels.fast import assign, lab_units, move_centres, smooth
        from tinysegrank.superpixels.fast_parts import join_small_parts
    else:
        from tinysegrank.superpixels.clusters import assign, move_centres
        from tinysegrank.superpixels.lab import lab_units, smooth
        from tinysegrank.superpixels.parts import join_small_parts

    lab = lab_units(np.ascontiguousarray(rgb), light_table(), root_table())  # (3, H, W)
    if smoothing > 0:
        lab = smooth(lab, gaussian_weights(smoothing))
    (H, W), (rows, columns) = rgb.shape[:2], grid(rgb.shape[:2], segments)
    row, column = ((2 * np.arange(count) + 1) * side // (2 * count) for count, side in ((rows, H), (columns, W)))
    row, column = np.repeat(row, columns), np.tile(column, rows)  # (S,) each
    centres = np.column_stack([*lab[:, row, column], row, column]).astype(np.int32)  # (S, 5)
    labels = np.arange(H)[:, None] * rows // H * columns + np.arange(W) * columns // W  # (H, W)
    labels = labels.astype(np.int32)
    spatial = spatial_table(max(H / rows, W / columns), compactness)
    distance = np.empty((H, W), np.int32)
    for number in range(ROUNDS - 1):
        first = number % STRIDE
        assign(lab, centres, spatial, labels, distance, first, STRIDE)
        move_centres(lab, labels, centres, first, STRIDE)
    assign(lab, centres, spatial, labels, distance, 0, 1)
    found: NDArray[np.int32] = join_small_parts(labels, lab, H * W // (2 * rows * columns))
    return found


def grid(shape: tuple[int, ...], segments: int) -> tuple[int, int]:
    """Rows and columns of a grid of about `segments` cells, as square as can be, none without a pixel."""
    H, W = shape
    rows = int(np.clip(round(np.sqrt(segments * H / W)), 1, min(H, segments)))
    return rows, int(np.clip(round(segments / rows), 1, W))


def spatial_table(step: float, compactness: float) -> NDArray[np.int32]:
    """What an offset in rows and columns adds to the squared distance in Lab: (2 R + 1, 2 R + 1).

    An offset of one step of the grid counts as much as `compactness` units of Lab. R is a step, rounded up.
    """
    offset = np.arange(-int(np.ceil(step)), int(np.ceil(step)) + 1)
    squared = np.square(offset)[:, None] + np.square(offset)  # (2 R + 1, 2 R + 1)
    return np.rint(squared * (UNIT * compactness / step) ** 2).astype(np.int32)
