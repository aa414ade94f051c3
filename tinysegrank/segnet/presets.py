"""Presets of SegNet's trunk, five convolutions that turn an image into a 13 x 13 grid of features.

Paper: section 3.1 and its footnote 1. CaffeNet pools before it normalises, AlexNet after. "torchvision" is the AlexNet
of that library (Krizhevsky, arXiv:1404.5997): fewer filters, no groups, no normalisation. "tiny" has CaffeNet's
structure, and is small enough to train from scratch in a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from tinysegrank.backend import Backend
from tinysegrank.nn.layer import Layer
from tinysegrank.voc.preprocess import CAFFE, TORCHVISION, Preprocessing


@dataclass(frozen=True)
class ConvShape:
    """Arguments of `Conv2d.initialised` for one convolution; size, stride and padding are in cells of its input."""

    filters: int
    size: int
    stride: int = 1
    padding: int = 0
    groups: int = 1


@dataclass(frozen=True)
class Preset:
    """Hyperparameters of a trunk, the preprocessing of its images, and the head that goes with it.

    Attributes:
        convolutions: conv1 to conv5, each followed by ReLU.
        between: layers after the ReLU of conv1 and again after that of conv2, in order: "pool" for max pooling, "norm"
            for local response normalisation.
        preprocessing: turns a photograph into the network's input.
        head: numbers of filters of conv6 and conv7.
        dropout: probability of dropout before each of conv6, conv7 and conv8; a small network needs less.
        change_head: function (layers, backend) that takes the usual layers of the head by name, dropout6 to conv8, and
            returns those of a head of your own, by name and in order; it must make the same layers at each call. With
            `PRESETS["mine"] = replace(PRESETS["tiny"], change_head=...)`, training, prediction, saving and loading use
            them.
    """

    convolutions: tuple[ConvShape, ConvShape, ConvShape, ConvShape, ConvShape]
    between: tuple[Literal["pool", "norm"], ...]
    preprocessing: Preprocessing
    head: tuple[int, int] = (128, 128)
    dropout: float = 0.5
    change_head: Callable[[dict[str, Layer], Backend], dict[str, Layer]] | None = None


_IMAGENET = (
    ConvShape(96, 11, stride=4),
    ConvShape(256, 5, padding=2, groups=2),
    ConvShape(384, 3, padding=1),
    ConvShape(384, 3, padding=1, groups=2),
    ConvShape(256, 3, padding=1, groups=2),
)
_TORCHVISION = (
    ConvShape(64, 11, stride=4, padding=2),
    ConvShape(192, 5, padding=2),
    ConvShape(384, 3, padding=1),
    ConvShape(256, 3, padding=1),
    ConvShape(256, 3, padding=1),
)
_TINY = (
    ConvShape(16, 5, stride=2),
    ConvShape(32, 5, padding=2, groups=2),
    ConvShape(64, 3, padding=1),
    ConvShape(64, 3, padding=1, groups=2),
    ConvShape(64, 3, padding=1, groups=2),
)

PRESETS = {
    "alexnet": Preset(_IMAGENET, between=("norm", "pool"), preprocessing=CAFFE),
    "caffenet": Preset(_IMAGENET, between=("pool", "norm"), preprocessing=CAFFE),
    "torchvision": Preset(_TORCHVISION, between=("pool",), preprocessing=replace(TORCHVISION, size=224)),
    "tiny": Preset(
        _TINY,
        between=("pool", "norm"),
        preprocessing=Preprocessing(size=113, mean=(0.45, 0.45, 0.45), std=(0.25, 0.25, 0.25), scale=1 / 255),
        head=(64, 64),
        dropout=0.2,
    ),
}
