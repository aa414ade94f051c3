"""Average maps on a coarse grid over superpixels: one row of features per superpixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError


def pool_maps(maps: Sequence[np.ndarray], superpixels: np.ndarray, *, step: int = 3) -> np.ndarray:
    """Average maps over each superpixel, as if they were enlarged to the image by bilinear interpolation.

    maps        | each (C, h, w) | floating | maps of the whole image; C, h and w may differ from map to map
    superpixels | (H, W)         | integer  | 0..S-1
    returns     | (S, sum of C)  | float32  | the maps' channels one after the other; 0 for a number that does not occur

    Args:
        step: only the pixels of every `step`-th row and column are averaged; all pixels of a superpixel if none of them
            is in such a row and column.

    Raises:
        ShapeError: there are no maps, one is not (C, h, w) or has no cell, or the superpixels are not (H, W), are
            empty or have a negative number.
        ConfigError: `step` is below 1.

    Source: Hariharan et al., "Hypercolumns for object segmentation and fine-grained localization", CVPR 2015, for
    several layers enlarged to the image; Dai, He and Sun, "Convolutional feature masking for joint object and stuff
    segmentation", CVPR 2015, for means over regions.
    """
    if not maps or any(part.ndim != 3 or 0 in part.shape[1:] for part in maps):
        raise ShapeError(f"maps: each must be (C, h, w) with at least one cell, got {[part.shape for part in maps]}")
    weights = {shape: bilinear_weights(superpixels, shape, step=step) for shape in {part.shape[1:] for part in maps}}
    columns = [weights[part.shape[1:]] @ part.reshape(len(part), -1).T.astype(np.float32) for part in maps]
    return np.concatenate(columns, axis=1)  # (S, sum of C)


def bilinear_weights(superpixels: np.ndarray, shape: tuple[int, int], *, step: int = 3) -> Any:
    """Return the weight of each cell of a grid in the mean over each superpixel.

    superpixels | (H, W)     | integer        | 0..S-1
    returns     | (S, h * w) | sparse float32 | cells row by row; rows sum to 1, to 0 for a number that does not occur

    The grid is interpolated to the pixels bilinearly: cells are equal tiles of the image with their values at their
    centres, and beyond the outermost centres the values stay constant.

    Args:
        shape: (h, w), number of rows and columns of cells.
        step: only the pixels of every `step`-th row and column are averaged; all pixels of a superpixel if none of them
            is in such a row and column.

    Raises:
        ShapeError: the superpixels are not (H, W), are empty or have a negative number.
        ConfigError: `step` is below 1.
    """
    from scipy.sparse import csr_array

    if superpixels.ndim != 2 or not superpixels.size or superpixels.min() < 0:
        raise ShapeError(f"superpixels {superpixels.shape} must be a map (H, W) of numbers from 0")
    if step < 1:
        raise ConfigError(f"step={step}: give 1 to take all pixels, or more to take fewer")
    areas = np.bincount(superpixels.ravel())  # (S,)
    counted = np.zeros(superpixels.shape, np.bool_)
    counted[step // 2 :: step, step // 2 :: step] = True
    pixels = np.bincount(superpixels[counted], minlength=len(areas))  # (S,)
    counted |= (pixels == 0)[superpixels]
    pixels = np.where(pixels, pixels, areas)
    places = np.nonzero(counted)  # (P,), (P,)
    of = superpixels[places]  # (P,)
    (upper, down), (left, right) = (
        _neighbours(place, side, cells) for place, side, cells in zip(places, superpixels.shape, shape, strict=True)
    )
    rows, columns, values = [], [], []
    for row, vertical in ((upper, 1 - down), (np.minimum(upper + 1, shape[0] - 1), down)):
        for column, horizontal in ((left, 1 - right), (np.minimum(left + 1, shape[1] - 1), right)):
            rows.append(of)
            columns.append(row * shape[1] + column)
            values.append(vertical * horizontal / pixels[of])
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return csr_array(entries, shape=(len(areas), shape[0] * shape[1])).astype(np.float32)  # adds up equal places


def _neighbours(place: np.ndarray, side: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, along one axis, the cell whose centre is at or before each pixel, and the weight (0..1) of the next cell.

    `place` holds numbers of pixels, 0..side-1. A pixel before the first centre gets cell 0, and weight 0 for the next.
    """
    position = np.clip((place + 0.5) * cells / side - 0.5, 0, cells - 1)
    cell = np.floor(position).astype(np.intp)
    return cell, position - cell
