"""Turn a photograph into the network's input: warp, channel order, scale, mean, standard deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from tinysegrank.errors import ConfigError, ShapeError

CAFFE_MEAN = (104.007, 116.669, 122.679)  # blue, green, red


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of a network's input images; the defaults are those of Caffe's ImageNet networks.

    Attributes:
        size: side of the square input, in pixels; 227 gives a 13 x 13 grid.
        mean: mean of each scaled channel, in the network's channel order.
        std: standard deviation of each scaled channel, in the same order.
        scale: factor on the pixels 0..255.
        channel_order: the order in which the network expects the channels.

    Raises:
        ConfigError: a value is out of range.
    """

    size: int = 227
    mean: tuple[float, float, float] = CAFFE_MEAN
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    channel_order: Literal["BGR", "RGB"] = "BGR"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"size: {self.size} is not a number of pixels")
        if self.channel_order not in ("BGR", "RGB"):
            raise ConfigError(f"channel_order: {self.channel_order!r} is neither 'BGR' nor 'RGB'")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(value > 0 for value in self.std):
            raise ConfigError("mean, std: give three numbers each, those of std above 0")
        if not self.scale > 0:
            raise ConfigError(f"scale: {self.scale} is not above 0")

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return an image as the network takes it: warped, its channels ordered, then (pixel * scale - mean) / std.

        image   | (H, W, 3)       | uint8   | R, G, B
        returns | (3, size, size) | float32 |

        The whole image is warped to size x size, whatever its aspect ratio (not cropped, so that every pixel is
        labelled), with PIL's bilinear filter, which averages over source pixels when it shrinks. To mirror an image,
        mirror the result, `[:, :, ::-1]`, not the image before the warp.

        Raises:
            ShapeError: the array is not an RGB image.

        Source: Caffe's ImageNet networks; the paper gives no rule for images of other sizes, the warp is our choice.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ShapeError(f"image: shape {image.shape}, dtype {image.dtype}; pass (H, W, 3) uint8 RGB")
        side = (self.size, self.size)
        warped = np.asarray(Image.fromarray(image).resize(side, Image.Resampling.BILINEAR), np.float32)
        if self.channel_order == "BGR":
            warped = warped[..., ::-1]
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        prepared = (warped * np.float32(self.scale) - mean) / std
        return np.ascontiguousarray(prepared.transpose(2, 0, 1))  # (3, size, size)


CAFFE = Preprocessing()
TORCHVISION = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), scale=1 / 255, channel_order="RGB")
