"""Features of each pair of classes: their relative position, their size, and whether both are present."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.voc import CLASS_NAMES
from tinysegrank.voc.labels import check_labels


def pair_feature_names(class_names: Sequence[str] = CLASS_NAMES) -> tuple[str, ...]:
    """Return the names of the columns of `pair_features`: for each kind the pairs (0, 1), (0, 2), ..., (1, 2), ..."""
    kinds = ("centroid_x", "centroid_y", "pixels", "together")
    between = "|" if any("_" in name for name in class_names) else "_"  # so that no two pairs give the same name
    return tuple(f"{kind}_{a}{between}{b}" for kind in kinds for a, b in combinations(class_names, 2))


def class_moments(labels: np.ndarray, *, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the number of pixels and the centroid of each class in each map.

    labels    | (M, H, W)    | integer | 0..K-1
    counts    | (M, K)       | int64   | pixels
    centroids | (M, K, 2)    | float64 | mean column, mean row; 0, 0 where the class is absent

    Raises:
        ShapeError: the array is not three-dimensional, has no pixel, or is not of integers.
        DatasetError: a label is not a class.
    """
    if np.ndim(labels) != 3 or 0 in np.shape(labels)[1:]:
        raise ShapeError(f"labels: shape {np.shape(labels)} is not (M, H, W); stack the image's proposals")
    labels = check_labels(labels, num_classes=num_classes, void=None)
    height, width = labels.shape[1:]
    counts = np.zeros((len(labels), num_classes), np.int64)
    centroids = np.zeros((len(labels), num_classes, 2))
    for m, one in enumerate(labels):
        sides = []
        for axis, length in ((0, width), (1, height)):
            place = np.arange(length) if axis == 0 else np.arange(length)[:, None]
            table = np.bincount((one + num_classes * place).ravel(), minlength=num_classes * length)
            sides.append(table.reshape(length, num_classes))  # (W, K), then (H, K): pixels of each column, of each row
        counts[m] = sides[0].sum(axis=0)
        sums = np.stack([np.arange(len(table)) @ table for table in sides], axis=1)  # (K, 2)
        centroids[m] = sums / np.maximum(counts[m], 1)[:, None]
    return counts, centroids


def pair_features(counts: np.ndarray, centroids: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Describe each proposal by its pairs of classes; features of a pair are 0 unless the proposal has both.

    There are four features of each of the P = K (K-1) / 2 pairs a < b, in the order of `pair_feature_names`: the
    centroid of a minus that of b, along x in image widths, and along y in image heights; the pixels of both, relative
    to the sum over all pairs; and 1, divided by the number of pairs present. Background, class 0, is treated like any
    other class.

    counts    | (M, K)    | integer  | as from `class_moments`
    centroids | (M, K, 2) | floating | as from `class_moments`
    returns   | (M, 4 P)  | float32  | 840 columns for the 21 classes of VOC

    Source: Segm_extract_measurements_on_sol.m of the DivMBest release, by its groups: 420 + 210 + 210 columns. The
    order of the pairs and the sign of the differences are ours (there, background is the last class).
    """
    a, b = np.triu_indices(counts.shape[1], 1)
    both = (counts[:, a] > 0) & (counts[:, b] > 0)  # (M, P)
    difference = (centroids[:, a] - centroids[:, b]) / [width, height] * both[:, :, None]  # (M, P, 2)
    pixels = _to_sum_one((counts[:, a] + counts[:, b]) * both)
    return np.concatenate([difference[:, :, 0], difference[:, :, 1], pixels, _to_sum_one(both)], axis=1).astype(
        np.float32
    )


def _to_sum_one(rows: np.ndarray) -> np.ndarray:
    """Divide each row by its sum, in which the image's size cancels; rows of zeros stay zero."""
    return rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)
