"""SLIC in integer arithmetic: k-means on colour and position in which each centre searches only its surroundings.

Changes from the SLIC paper: the distance is squared and rounded; the image is smoothed first; centres start on the grid
itself, not at the lowest gradient nearby; there are always ten rounds; all but the last use every third row only, which
is enough to estimate means, and each uses other rows than the one before; small parts join the neighbour most alike in
colour, not the last one met.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.backend import accelerated
from tinysegrank.errors import ShapeError
from tinysegrank.superpixels.lab import UNIT, gaussian_weights, light_table, root_table

ROUNDS, STRIDE = 10, 3
STRONGEST, WIDEST = 500.0, 100.0  # largest compactness and smoothing at which sums fit in 32 bits


def integer_slic(rgb: NDArray[np.uint8], *, segments: int, compactness: float, smoothing: float) -> NDArray[np.int32]:
    """Compute SLIC superpixels; see `slic.slic`, which checks the options.

    rgb     | (H, W, 3) | uint8 | 0..255
    returns | (H, W)    | int32 | 0..S-1 in the order of their first pixels, each connected along rows and columns

    The Numba versions in `fast` and `fast_parts` run unless TINYSEGRANK_ACCELERATE=0; the results are the same.

    Raises:
        ShapeError: compactness is above 500, or smoothing above 100.

    Source: Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", PAMI 2012.
    """
    if compactness > STRONGEST or smoothing > WIDEST:
        raise ShapeError(
            f"compactness={compactness}, smoothing={smoothing}: this method allows at most {STRONGEST:g} and "
            f'{WIDEST:g}; lower them, or choose method="scikit-image"'
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
    """Return the rows and columns of a grid of about `segments` cells, as square as possible and none empty."""
    H, W = shape
    rows = int(np.clip(round(np.sqrt(segments * H / W)), 1, min(H, segments)))
    return rows, int(np.clip(round(segments / rows), 1, W))


def spatial_table(step: float, compactness: float) -> NDArray[np.int32]:
    """Return the squared spatial distance of each offset in rows and columns: (2 R + 1, 2 R + 1).

    It is added to the squared distance in Lab: one step of the grid counts as `compactness` units of Lab. R is `step`,
    rounded up.
    """
    offset = np.arange(-int(np.ceil(step)), int(np.ceil(step)) + 1)
    squared = np.square(offset)[:, None] + np.square(offset)  # (2 R + 1, 2 R + 1)
    return np.rint(squared * (UNIT * compactness / step) ** 2).astype(np.int32)
