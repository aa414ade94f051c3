"""Descriptors of whole images, from conv5's features: the inputs of the image classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank.errors import ShapeError, WeightsError
from tinysegrank.nn import max_pool2d
from tinysegrank.segnet.weight_files import read_weights
from tinysegrank.segnet.weights import fault_in

_ROWS = 64  # images at a time


@dataclass(frozen=True, eq=False)
class FullyConnected:
    """The classifier's two layers after conv5: pooling to 6 x 6, fc6, fc7, each with ReLU.

    weight6 | (F, 36 C) | float32 | on pooled conv5, channel by channel
    bias6   | (F,)      | float32 |
    weight7 | (F, F)    | float32 |
    bias7   | (F,)      | float32 |
    """

    weight6: np.ndarray
    bias6: np.ndarray
    weight7: np.ndarray
    bias7: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Evaluate fc7 after ReLU on conv5 after ReLU: (N, C, 13, 13) -> (N, F) float32, without dropout."""
        pooled = max_pool2d(features)[0].reshape(len(features), -1)  # (N, 36 C)
        if pooled.shape[1] != self.weight6.shape[1]:
            raise ShapeError(
                f"features: {features.shape} pool to {pooled.shape[1]} numbers, fc6 takes {self.weight6.shape[1]}; "
                "give conv5's features of the same weight file"
            )
        hidden = np.maximum(pooled @ self.weight6.T + self.bias6, 0)  # (N, F)
        return np.maximum(hidden @ self.weight7.T + self.bias7, 0)  # (N, F)


def load_fully_connected(path: Path | str) -> FullyConnected | None:
    """Read fc6 and fc7 from a weight file; return None if the file has no layers after conv5.

    Raises:
        WeightsError: the file is missing or damaged, or has only one of the two, or they do not fit each other,
            or a parameter is NaN or infinite, or a layer's weights are all 0.
    """
    layers = read_weights(path).arrays
    names = ("fc6.weight", "fc6.bias", "fc7.weight", "fc7.bias")
    found = [name for name in names if name in layers]
    if not found:
        return None
    if len(found) < len(names):
        raise WeightsError(
            f"{path}: has only {', '.join(found)} of fc6 and fc7; give a complete file, or one without either"
        )
    if fault := fault_in({name: layers[name] for name in names}):
        raise WeightsError(f"{path}: {fault}; download the file again, or give another")
    bias6, bias7 = layers["fc6.bias"], layers["fc7.bias"]
    weight6, weight7 = (layers[name].reshape(-1, layers[name].shape[-1]) for name in ("fc6.weight", "fc7.weight"))
    if len(weight6) != len(bias6) or weight7.shape != (len(bias7), len(bias6)):  # old files store (1, 1, F, D)
        raise WeightsError(
            f"{path}: fc6 {weight6.shape}, {bias6.shape} and fc7 {weight7.shape}, {bias7.shape} do not fit each other"
        )
    return FullyConnected(weight6, bias6, weight7, bias7)


def image_descriptors(features: np.ndarray, fully_connected: FullyConnected | None = None) -> np.ndarray:
    """Describe images by fc7 if its weights are given, otherwise by the mean of conv5; normalised to length 1.

    features | (N, C, 13, 13)   | floating | conv5 after ReLU, as from `SegNet.features`
    returns  | (N, F) or (N, C) | float32  | length 1, or 0 where all features are 0

    On VOC the mean over the cells has an average precision of 0.48. Conv5 max-pooled to 6 x 6, a descriptor 36 times as
    long, has 0.44 (tests/benchmarks/image_descriptors.py).

    Args:
        fully_connected: fc6 and fc7 from the file with the trunk's weights.

    Raises:
        ShapeError: the features are empty or not four-dimensional, or do not fit fc6.

    Source: the paper takes "DeCAF features" without naming the layer; these are our choice.
    """
    if features.ndim != 4 or not features.size:
        raise ShapeError(f"features: shape {features.shape} is not (N, C, h, w); give conv5's features")
    describe = fully_connected or partial(np.mean, axis=(2, 3))
    parts = [describe(features[start : start + _ROWS].astype(np.float32)) for start in range(0, len(features), _ROWS)]
    values = np.concatenate(parts)  # (N, D)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)  # (N, 1)
    return np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
