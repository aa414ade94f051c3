"""What each cut is told beforehand: superpixels that are foreground, and what it costs to reach the image's frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError

FRAMES = ("all", "all but bottom", "horizontal", "vertical", "bottom", "top")


class Hypotheses(NamedTuple):
    """B hypotheses of one image.

    seeds | (B, S) | bool    | superpixels that are foreground for certain
    frame | (B, S) | float64 | pixels of the superpixel on the frame, each counted 0..1
    """

    seeds: NDArray[np.bool_]
    frame: NDArray[np.float64]


def grid_seeds(superpixels: NDArray[np.integer], *, grid: int = 5, size: int = 40) -> Hypotheses:
    """Put a square seed on each point of a grid, against the whole frame.

    superpixels | (H, W) | integer | 0..S-1

    A superpixel belongs to the seed if more than half of it lies in the square, or the centre of the square in it. A
    pixel of the frame counts by its distance from the centre over the largest such distance, so that an object at the
    border can reach the nearby part of the frame.

    Args:
        superpixels: see above.
        grid: points down and across; the hypotheses go through it row by row.
        size: side of the square in pixels.

    Kept from CPMC: the 5 x 5 grid, the size of 40 pixels, the soft frame. Changed: a seed is a set of superpixels.

    Raises:
        ShapeError: superpixels are not a map, or an option is below 1.
    """
    areas = _areas(superpixels)
    if min(grid, size) < 1:
        raise ShapeError(f"grid and size must be at least 1, got {grid} and {size}")
    rows, columns = (np.floor((np.arange(grid) + 0.5) * n / grid).astype(int) for n in superpixels.shape)
    border, frame_rows, frame_columns = _frame_pixels(superpixels)
    seeds = np.zeros((grid**2, len(areas)), np.bool_)
    frame = np.zeros((grid**2, len(areas)))
    for b, (row, column) in enumerate((r, c) for r in rows for c in columns):
        low_row, low_column = max(0, row - size // 2), max(0, column - size // 2)
        square = superpixels[low_row : row + (size + 1) // 2, low_column : column + (size + 1) // 2]
        seeds[b] = 2 * np.bincount(square.ravel(), minlength=len(areas)) > areas
        seeds[b, superpixels[row, column]] = True
        distance = np.hypot(frame_rows - row, frame_columns - column)
        frame[b] = np.bincount(border, distance / max(distance.max(), 1), len(areas))
    return Hypotheses(seeds, frame)


def frame_hypotheses(superpixels: NDArray[np.integer]) -> Hypotheses:
    """No seed at all, against each part of the frame that FRAMES names; every pixel of that part counts 1.

    superpixels | (H, W) | integer | 0..S-1

    Kept from CPMC: the six parts, for the uniform segmenter only.

    Raises:
        ShapeError: superpixels are not a map.
    """
    areas = _areas(superpixels)
    top, bottom = superpixels[:1], superpixels[-1:]
    left, right = superpixels[:, :1], superpixels[:, -1:]
    parts = {
        "all": (top, bottom, left, right),
        "all but bottom": (top, left, right),
        "horizontal": (top, bottom),
        "vertical": (left, right),
        "bottom": (bottom,),
        "top": (top,),
    }
    frame = [sum(np.bincount(p.ravel(), minlength=len(areas)) for p in parts[name]) for name in FRAMES]
    return Hypotheses(np.zeros((len(FRAMES), len(areas)), np.bool_), np.array(frame, np.float64))


def _areas(superpixels: NDArray[np.integer]) -> NDArray[np.int64]:
    if superpixels.ndim != 2 or superpixels.size == 0 or superpixels.min() < 0:
        raise ShapeError(f"superpixels must be a map (H, W) of numbers from 0, got {superpixels.shape}")
    return np.bincount(superpixels.ravel())


def _frame_pixels(superpixels: NDArray[np.integer]) -> tuple[NDArray[np.integer], ...]:
    """Superpixel, row and column of each pixel of the frame."""
    on_frame = np.ones(superpixels.shape, np.bool_)
    on_frame[1:-1, 1:-1] = False
    return superpixels[on_frame], *np.nonzero(on_frame)
