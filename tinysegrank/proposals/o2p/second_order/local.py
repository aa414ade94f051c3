"""Local descriptors of an image: SIFT and binary patterns on a grid, with the colour and place of the grid point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tinysegrank.config import Options, option
from tinysegrank.proposals.o2p.second_order.lbp import dense_lbp
from tinysegrank.proposals.o2p.second_order.sift import dense_sift
from tinysegrank.superpixels import as_rgb

COLOURS = ("red", "green", "blue", "hue", "saturation", "value", "lightness", "green_red", "blue_yellow")
PLACES = ("x", "y", "size", "one")


@dataclass(frozen=True)
class SecondOrderOptions(Options):
    """Options for describing segments.

    sift_cells: sides of SIFT's cells, pixels; one descriptor per side at every grid point.
    lbp_cells: radii of the windows in which binary patterns are counted, pixels.
    step: spacing of the grid, pixels.
    ridge: constant added to the diagonal before the logarithm.
    power: exponent applied to the absolute value of each number of the result; the sign is kept.
    """

    sift_cells: tuple[int, ...] = option((2, 4, 6, 8), at_least=1)
    lbp_cells: tuple[int, ...] = option((2, 4, 6, 8, 10), at_least=1)
    step: int = option(4, at_least=1)
    ridge: float = option(1e-3, more_than=0)
    power: float = option(0.75, more_than=0)


class LocalDescriptors(NamedTuple):
    """Local descriptors of one kind.

    texture | (N, T) | float32 | SIFT (128) or binary patterns (58), or fewer numbers after `DescriptorReduction`
    colours | (N, 9) | float32 | about 0..1; columns as COLOURS
    places  | (N, 4) | float64 | columns as PLACES: column and row of the grid point, side or radius, pixels; and 1
    """

    texture: np.ndarray
    colours: np.ndarray
    places: np.ndarray


class ImageDescriptors(NamedTuple):
    """All local descriptors of an image."""

    sift: LocalDescriptors
    lbp: LocalDescriptors


def local_descriptors(image: np.ndarray, options: SecondOrderOptions) -> ImageDescriptors:
    """Describe the surroundings of every point of a grid at every scale.

    image | (H, W) or (H, W, 3) | uint8 | 0..255

    Returns:
        At least one descriptor of each kind, however small the image. The grid is centred; see `SecondOrderOptions` for
        its spacing and the scales.

    Raises:
        ShapeError: the image is not 8-bit grey or RGB.
    """
    rgb = as_rgb(image).astype(np.float32) / 255
    grey = rgb @ np.array([0.299, 0.587, 0.114], np.float32)  # (H, W)
    rows, columns = (np.arange((n - 1) % options.step // 2, n, options.step) for n in grey.shape)
    colours = point_colours(rgb[np.ix_(rows, columns)])  # (h, w, 9)
    sift = dense_sift(grey, options.sift_cells, rows, columns)
    lbp = dense_lbp(grey, options.lbp_cells, rows, columns)
    return ImageDescriptors(
        _flatten(sift, colours, options.sift_cells, rows, columns),
        _flatten(lbp, colours, options.lbp_cells, rows, columns),
    )


def point_colours(rgb: np.ndarray) -> np.ndarray:
    """Return RGB, HSV and Lab, each scaled to about 0..1: (h, w, 3) RGB in 0..1 -> (h, w, 9) float32 as COLOURS."""
    from skimage.color import rgb2hsv, rgb2lab

    lab = rgb2lab(rgb)
    lab = (lab + np.array([0, 110, 110], np.float32)) / np.array([100, 220, 220], np.float32)
    return np.concatenate([rgb, rgb2hsv(rgb), lab], axis=2).astype(np.float32)


def _flatten(
    texture: np.ndarray, colours: np.ndarray, cells: Sequence[int], rows: np.ndarray, columns: np.ndarray
) -> LocalDescriptors:
    """Arrange descriptors (n, h, w, T) of n scales in rows, scale by scale, with their colours and places."""
    size, y, x = (grid.ravel().astype(np.float64) for grid in np.meshgrid(cells, rows, columns, indexing="ij"))
    return LocalDescriptors(
        texture.reshape(-1, texture.shape[-1]),  # (N, T)
        np.tile(colours.reshape(-1, colours.shape[-1]), (len(cells), 1)),  # (N, 9)
        np.stack([x, y, size, np.ones_like(x)], axis=1),  # (N, 4)
    )
