"""The trunks that SegNet can stand on: five convolutions that turn an image into a 13 x 13 grid of features.

Paper: section 3.1 and its footnote 1. CaffeNet pools before it normalises, AlexNet after; "tiny" is built alike at a
size that trains from nothing in a minute.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinysegrank.errors import ConfigError
from tinysegrank.voc.preprocess import CAFFE, Preprocessing


@dataclass(frozen=True)
class ConvShape:
    """One convolution: how many filters of which size, and how they move."""

    filters: int
    size: int
    stride: int = 1
    padding: int = 0
    groups: int = 1


@dataclass(frozen=True)
class Preset:
    """A trunk with the preparation of its images.

    Attributes:
        convolutions: conv1 to conv5; conv1 and conv2 are followed by pooling and normalisation.
        pool_first: CaffeNet's order, ReLU, pool, normalise; otherwise AlexNet's, ReLU, normalise, pool.
        preprocessing: from a photograph to the input.
        head: filters of conv6 and conv7, the first two layers that SegNet adds.
        dropout: before each of the layers that SegNet adds; a small network needs less.
    """

    convolutions: tuple[ConvShape, ConvShape, ConvShape, ConvShape, ConvShape]
    pool_first: bool
    preprocessing: Preprocessing
    head: tuple[int, int] = (128, 128)
    dropout: float = 0.5


_IMAGENET = (
    ConvShape(96, 11, stride=4),
    ConvShape(256, 5, padding=2, groups=2),
    ConvShape(384, 3, padding=1),
    ConvShape(384, 3, padding=1, groups=2),
    ConvShape(256, 3, padding=1, groups=2),
)
_TINY = (
    ConvShape(16, 5, stride=2),
    ConvShape(32, 5, padding=2, groups=2),
    ConvShape(64, 3, padding=1),
    ConvShape(64, 3, padding=1, groups=2),
    ConvShape(64, 3, padding=1, groups=2),
)

PRESETS = {
    "alexnet": Preset(_IMAGENET, pool_first=False, preprocessing=CAFFE),
    "caffenet": Preset(_IMAGENET, pool_first=True, preprocessing=CAFFE),
    "tiny": Preset(
        _TINY,
        pool_first=True,
        preprocessing=Preprocessing(size=113, mean=(0.45, 0.45, 0.45), std=(0.25, 0.25, 0.25), scale=1 / 255),
        head=(64, 64),
        dropout=0.2,
    ),
}


def preset_named(name: str) -> Preset:
    """Look a preset up.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f'preset="{name}": choose one of {", ".join(PRESETS)}')
    return PRESETS[name]
