"""Naive upsampling: every pixel takes the most probable class of the coarse cell around it."""

from __future__ import annotations

import numpy as np

from tinysegrank.upsampling.checks import check_coarse
from tinysegrank.voc import tile_edges


def naive(coarse: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Label all pixels of each coarse cell's tile with the cell's most probable class.

    Cell (r, c) is the uniform tile [r*H/h, (r+1)*H/h) x [c*W/w, (c+1)*W/w) with edges rounded to whole pixels,
    as for the soft targets, so the tiles partition the image. Of equally probable classes the first wins.

    coarse  | (h, w, K)  | floating | class probabilities, or any scores that are larger for more probable classes
    shape   | (H, W)     | int      | size of the image in pixels, at least h x w
    returns | (H, W)     | uint8    | class of each pixel

    Raises:
        ShapeError: coarse is not a finite floating (h, w, K) array.
        DatasetError: the image is smaller than the grid.

    Paper: Eq. 16, which equates a probability with an argmax; the argmax is meant.
    """
    coarse = np.asarray(coarse)
    check_coarse(coarse)
    heights, widths = (
        np.diff(tile_edges(length, count)) for length, count in zip(shape, coarse.shape[:2], strict=True)
    )
    labels = coarse.argmax(axis=2).astype(np.uint8)  # Eq. 16
    return labels.repeat(widths, axis=1).repeat(heights, axis=0)  # (h, w) -> (h, W) -> (H, W)
