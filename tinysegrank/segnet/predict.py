"""Predict coarse class distributions, as NumPy arrays on the host, from images or features.

Everything after this module (upsampling, proposals, ranking) works on NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from array_api_compat import array_namespace

from tinysegrank.backend import Array, to_numpy
from tinysegrank.errors import ShapeError
from tinysegrank.nn.sequential import Prepared
from tinysegrank.nn.softmax import softmax
from tinysegrank.segnet.features import FeatureStore
from tinysegrank.segnet.network import SegNet, on_its_device


@on_its_device
def predict(model: SegNet, images: Sequence[np.ndarray], *, batch: int = 16) -> np.ndarray:
    """Compute the coarse segmentation of each image, without dropout.

    images  | N arrays (H, W, 3) | uint8   | RGB; sizes may differ, each is resized to the network's square input
    returns | (N, 13, 13, K)     | float32 | class distribution of each cell; the paper's p-hat

    Args:
        batch: number of images at a time.

    Raises:
        ShapeError: an array is not an RGB image.
    """
    network, parts = Prepared(model.network), []
    for start in range(0, len(images), batch):
        warped = np.stack([model.preset.preprocessing.apply(image) for image in images[start : start + batch]])
        parts.append(_distributions(network(model.backend.asarray(warped))))
    return np.concatenate(parts) if parts else np.zeros((0, 13, 13, model.num_classes), np.float32)


@on_its_device
def predict_features(model: SegNet, features: np.ndarray, *, batch: int = 64) -> np.ndarray:
    """Compute coarse segmentations from conv5's features.

    features | (N, C, 13, 13)  | floating | on the host; conv5 after ReLU, not scaled, as `SegNet.features` computes it
    returns  | (N, 13, 13, K)  | float32  | class distribution of each cell

    Args:
        batch: number of images at a time.
    """
    head = Prepared(model.head)
    parts = [
        _distributions(head(model.backend.asarray(features[start : start + batch], dtype="float32")))
        for start in range(0, len(features), batch)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, *features.shape[2:], model.num_classes), np.float32)


def predict_store(
    model: SegNet, store: FeatureStore, images: np.ndarray | None = None, *, mirrored: bool = False
) -> np.ndarray:
    """Compute the coarse segmentations of images from their features on disk.

    images  | (N,)           | integer | indices of the images; all by default
    returns | (N, 13, 13, K) | float32 | class distribution of each cell

    Args:
        mirrored: True to average each map with that of the mirror image, flipped back; not in the paper.

    Raises:
        ShapeError: mirrored=True but the store has no mirror images, or an index is out of range.
        CheckpointError: a chunk of the store is missing or damaged.
    """
    if mirrored and not store.mirrors:
        raise ShapeError(f"{store.folder}: has no mirror images; drop mirrored=True, or make the store with them")
    rows = store.rows_of(np.arange(store.images) if images is None else images).reshape(-1, store.views)  # (N, 1 or 2)
    plain = predict_features(model, store.gather("features", rows[:, 0]))
    if not mirrored:
        return plain
    return mean_of_views(plain, predict_features(model, store.gather("features", rows[:, 1])))


def mean_of_views(plain: np.ndarray, flipped: np.ndarray) -> np.ndarray:
    """Average maps (N, 13, 13, K) of images with those of their mirror images, `flipped`, after flipping these back."""
    return np.ascontiguousarray((plain + flipped[:, :, ::-1]) / 2)  # (N, 13, 13, K)


def _distributions(z: Array) -> np.ndarray:
    """Return the softmax of scores (N, K, 13, 13) over the classes: (N, 13, 13, K), on the host."""
    xp = array_namespace(z)
    q, _ = softmax(z, axis=1)  # (N, K, 13, 13)
    return np.ascontiguousarray(to_numpy(xp.permute_dims(q, (0, 2, 3, 1))))  # (N, 13, 13, K)
