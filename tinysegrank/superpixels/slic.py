"""SLIC superpixels, numbered without gaps: this package's integer version, or scikit-image's."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinysegrank.config import look_up
from tinysegrank.errors import ShapeError
from tinysegrank.superpixels.integer import integer_slic


def as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an 8-bit image as RGB: a grey image is repeated over the three channels.

    image   | (H, W) or (H, W, 3) | uint8 | 0..255
    returns | (H, W, 3)           | uint8 | `image` itself where it is RGB

    Raises:
        ShapeError: `image` is not 8-bit, has another shape, or has no pixel.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ShapeError(f"image must be uint8 (H, W) or (H, W, 3), got {image.dtype} {image.shape}; convert it first")
    if image.size == 0:
        raise ShapeError(f"image has no pixel: its shape is {image.shape}")
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)  # (H, W, 3)


def as_lab(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert an image to CIE Lab.

    image   | (H, W) or (H, W, 3) | uint8   | 0..255
    returns | (H, W, 3)           | float32 | L in 0..100, a and b about -128..127

    Raises:
        ShapeError: see `as_rgb`.
    """
    from skimage.color import rgb2lab

    return rgb2lab(as_rgb(image).astype(np.float32) / 255)  # (H, W, 3)


def close_gaps(numbers: NDArray[np.integer]) -> NDArray[np.int32]:
    """Renumber superpixels so that every number from 0 occurs, in the same order: (H, W)."""
    return (np.cumsum(np.bincount(numbers.ravel()) > 0) - 1)[numbers].astype(np.int32)


def slic(
    image: NDArray[np.uint8],
    *,
    segments: int = 300,
    compactness: float = 20.0,
    smoothing: float = 1.0,
    method: Literal["integer", "scikit-image"] = "integer",
) -> NDArray[np.int32]:
    """Cut an image into about `segments` connected superpixels by k-means in colour (Lab) and position.

    image   | (H, W) or (H, W, 3) | uint8 | 0..255
    returns | (H, W)              | int32 | 0..S-1, every number occurs; S is near `segments`, fewer on small images

    Args:
        segments: number of superpixels to aim at.
        compactness: weight of position against colour; larger gives squarer superpixels.
        smoothing: standard deviation in pixels of a Gaussian filter on the image. Without it, noise and fine texture
            break clusters into fragments, which are then merged into few superpixels regardless of edges.
        method: "integer" is this package's own, "scikit-image" that library's. On 223 images of VOC's val "integer" is
            17 times faster, and the best labelling of as many superpixels has a higher corpus IoU, 0.917 against 0.901
            (`tests/benchmarks/pixels.py`).

    Raises:
        ShapeError: the image is not 8-bit grey or RGB, or an option is out of range.
        ConfigError: the method is unknown.

    Source: Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", PAMI 2012; scikit-image.
    """
    if segments < 1 or not compactness > 0 or not smoothing >= 0:
        raise ShapeError(
            "segments must be at least 1, compactness above 0 and smoothing at least 0, got "
            f"segments={segments}, compactness={compactness}, smoothing={smoothing}"
        )
    chosen = look_up(METHODS, method, "method")
    return chosen(as_rgb(image), segments=segments, compactness=compactness, smoothing=smoothing)


def skimage_slic(rgb: NDArray[np.uint8], *, segments: int, compactness: float, smoothing: float) -> NDArray[np.int32]:
    """Compute SLIC superpixels with scikit-image, numbered without gaps: (H, W, 3) uint8 -> (H, W) int32."""
    from skimage.segmentation import slic as by_skimage

    height, width = rgb.shape[:2]
    found = by_skimage(
        rgb.astype(np.float32) / 255,
        n_segments=min(segments, height * width),
        compactness=compactness,
        sigma=smoothing,
        enforce_connectivity=True,
        start_label=0,
        channel_axis=-1,
    )
    return close_gaps(found)  # a cluster that lost all its pixels leaves a gap


METHODS = {"integer": integer_slic, "scikit-image": skimage_slic}
