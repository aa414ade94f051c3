"""From images or features to coarse class distributions on the host: the device boundary.

Everything after this module (upsampling, proposals, ranking) works on NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from array_api_compat import array_namespace

from tinysegrank.backend import Array, to_numpy
from tinysegrank.nn.softmax import softmax
from tinysegrank.segnet.network import SegNet


def predict(model: SegNet, images: Sequence[np.ndarray], *, batch: int = 16) -> np.ndarray:
    """Compute the coarse segmentation of each image, without dropout.

    images  | N arrays (H, W, 3) | uint8   | RGB; warped whole to the network's input, sizes may differ
    returns | (N, 13, 13, K)     | float32 | class distributions; the paper's p-hat

    Raises:
        ShapeError: an array is no RGB image.
    """
    parts = []
    for start in range(0, len(images), batch):
        prepared = np.stack([model.preset.preprocessing.apply(image) for image in images[start : start + batch]])
        parts.append(_distributions(model.network(model.backend.asarray(prepared))))
    return np.concatenate(parts) if parts else np.zeros((0, 13, 13, model.num_classes), np.float32)


def predict_features(model: SegNet, features: np.ndarray, *, batch: int = 64) -> np.ndarray:
    """Compute the coarse segmentations from conv5's features.

    features | (N, C, 13, 13)  | floating | of `SegNet.features`
    returns  | (N, 13, 13, K)  | float32  | class distributions
    """
    parts = [
        _distributions(model.head(model.backend.asarray(features[start : start + batch], dtype="float32")))
        for start in range(0, len(features), batch)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, *features.shape[2:], model.num_classes), np.float32)


def _distributions(z: Array) -> np.ndarray:
    """Softmax over the classes, classes last, on the host."""
    xp = array_namespace(z)
    q, _ = softmax(z, axis=1)  # (N, K, 13, 13)
    return np.ascontiguousarray(to_numpy(xp.permute_dims(q, (0, 2, 3, 1))))  # (N, 13, 13, K)
