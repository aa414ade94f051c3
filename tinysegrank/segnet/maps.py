"""Compute a trunk's feature maps of an image on a finer grid than SegNet's, as features for the proposals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinysegrank.backend import to_numpy
from tinysegrank.errors import ConfigError
from tinysegrank.nn.sequential import Prepared, Sequential
from tinysegrank.segnet.network import TRUNK, SegNet, on_its_device
from tinysegrank.segnet.presets import Preset

MAP_LAYERS = ("conv3", "conv4", "conv5")


def map_channels(preset: Preset, layers: Sequence[str]) -> tuple[int, ...]:
    """Return the number of channels of each layer's map, in the order of `layers`."""
    return tuple(preset.convolutions[TRUNK.index(layer)].filters for layer in layers)


class TrunkMaps:
    """Computes feature maps of some of a trunk's layers from a larger input than SegNet's, and so on a finer grid.

    The parameters are copied once for many images; make a new object when the trunk has been trained further.

    Args:
        model: the network whose conv1 to conv5 are run.
        size: side of the square input. 451 gives 27 x 27 cells with "alexnet" and "caffenet", 225 with "tiny"; SegNet's
            own input gives 13 x 13.
        layers: names of the convolutions whose maps, after ReLU, are returned.

    Raises:
        ConfigError: a layer is unknown or duplicated, there is none, or the size is smaller than SegNet's.

    Source: Hariharan et al., "Hypercolumns for object segmentation and fine-grained localization", CVPR 2015.
    """

    def __init__(self, model: SegNet, *, size: int = 451, layers: Sequence[str] = MAP_LAYERS) -> None:
        if not layers or len(set(layers)) < len(layers) or not set(layers) <= set(TRUNK):
            raise ConfigError(f"layers={list(layers)}: give some of {', '.join(TRUNK)}, each once")
        preprocessing = model.preset.preprocessing
        if size < preprocessing.size:
            raise ConfigError(f"size={size}: give at least {preprocessing.size}, SegNet's own input")
        self.layers = tuple(layers)
        self._preprocessing, self.backend = replace(preprocessing, size=size), model.backend
        self._parts: dict[str, Prepared] = {}
        part = {}
        for name, layer in model.trunk.layers.items():
            part[name] = layer
            if (convolution := name.replace("relu", "conv")) in layers and convolution != name:
                self._parts[convolution] = Prepared(Sequential(part))
                part = {}

    @on_its_device
    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Compute the maps of one image.

        image   | (H, W, 3)              | uint8   | RGB; resized to the square input, its aspect ratio is not kept
        returns | one (C, h, w) per layer | float32 | after ReLU, at least 0; in the order of `layers`

        Raises:
            ShapeError: the array is not an RGB image.
        """
        x = self.backend.asarray(self._preprocessing.apply(image)[None])
        maps = {}
        for layer, part in self._parts.items():
            x = part(x)
            maps[layer] = to_numpy(x)[0]  # (C, h, w)
        return [maps[layer] for layer in self.layers]
