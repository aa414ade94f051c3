"""Image classifiers: linear SVMs on descriptors of whole images, for each class's presence and for its size."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from tinysegrank.errors import ShapeError, WeightsError
from tinysegrank.fitted import Fitted
from tinysegrank.nn import max_pool2d
from tinysegrank.segnet.weight_files import fault_in, read_weights

LOGGER = logging.getLogger(__name__)
PERCENTILES = (20, 40, 60, 80)
_ROWS = 64  # images described at a time
FEWEST = 5  # an SVM with fewer images on either side is not fitted


@dataclass(frozen=True, eq=False)
class FullyConnected:
    """The ImageNet classifier's layers after conv5: max pooling to 6 x 6, then fc6 and fc7, each followed by a ReLU.

    weight6, bias6 | (F, 36 C), (F,) | float32 | of fc6, which takes pooled conv5 (C, 6, 6), flattened
    weight7, bias7 | (G, F), (G,)    | float32 | of fc7
    """

    weight6: np.ndarray
    bias6: np.ndarray
    weight7: np.ndarray
    bias7: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Compute fc7 from conv5, both after ReLU, without dropout: (N, C, 13, 13) -> (N, G) float32.

        Raises:
            ShapeError: the features do not fit fc6.
        """
        pooled = max_pool2d(features)[0].reshape(len(features), -1)  # (N, 36 C)
        if pooled.shape[1] != self.weight6.shape[1]:
            raise ShapeError(
                f"features: {features.shape} pool to {pooled.shape[1]} numbers, fc6 takes {self.weight6.shape[1]}; "
                "give conv5's features of the same weight file"
            )
        hidden = np.maximum(pooled @ self.weight6.T + self.bias6, 0)  # (N, F)
        return np.maximum(hidden @ self.weight7.T + self.bias7, 0)  # (N, G)


def load_fully_connected(path: Path | str) -> FullyConnected | None:
    """Read fc6 and fc7 from a weight file; return None if the file has neither.

    Raises:
        WeightsError: the file is missing or damaged, has only some of the weights and biases of the two, these do not
            fit each other or hold NaN or infinity, or a layer's weights are all 0.
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
    # old files store (1, 1, F, D)
    weight6, weight7 = (layers[name].reshape(-1, layers[name].shape[-1]) for name in ("fc6.weight", "fc7.weight"))
    if len(weight6) != len(bias6) or weight7.shape != (len(bias7), len(bias6)):
        raise WeightsError(
            f"{path}: fc6 {weight6.shape}, {bias6.shape} and fc7 {weight7.shape}, {bias7.shape} do not fit each other"
        )
    return FullyConnected(weight6, bias6, weight7, bias7)


def image_descriptors(features: np.ndarray, fully_connected: FullyConnected | None = None) -> np.ndarray:
    """Describe images by fc7 after ReLU, or without `fully_connected` by the mean of conv5 over the cells.

    features | (N, C, 13, 13)   | floating | conv5 after ReLU, on the host, as `SegNet.features` computes it
    returns  | (N, G) or (N, C) | float32  | normalised to length 1; 0 for an image whose values are all 0

    On VOC the mean does better than conv5 max-pooled to 6 x 6 (tests/benchmarks/image_descriptors.py).

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


@dataclass(frozen=True, eq=False)
class ImageClassifier(
    Fitted,
    tag="tinysegrank image classifier 1",
    shapes={"weights": ("5 (K-1)", "D"), "intercepts": ("5 (K-1)",), "thresholds": ("K-1", len(PERCENTILES))},
    not_finite=("thresholds",),
):
    """One SVM for the presence of each class but background, and one for each of its four sizes.

    The SVM of class c and size j learns whether the class covers at least the share thresholds[c - 1, j] of an image.
    The thresholds are percentiles over the training images that contain the class; over all images, as one can also
    read the paper, most of them would be 0.

    weights    | (5 (K-1), D) | float32 | presence of the classes 1..K-1 first, then the four sizes of each class
    intercepts | (5 (K-1),)   | float32 | in the same order
    thresholds | (K-1, 4)     | float64 | of `size_thresholds`; inf for a class that no image contains

    Raises:
        ShapeError: there are not five rows of weights per class.

    Paper: section 4, "CNN Classification".
    """

    weights: np.ndarray
    intercepts: np.ndarray
    thresholds: np.ndarray

    def __post_init__(self) -> None:
        if len(self.weights) != 5 * len(self.thresholds):
            raise ShapeError(f"{len(self.weights)} rows of weights do not fit {len(self.thresholds)} classes")

    @classmethod
    def fit(cls, descriptors: np.ndarray, shares: np.ndarray, *, C: float = 1.0) -> Self:
        """Fit all SVMs, one after another, and return the classifiers.

        An SVM with fewer than 5 positive or fewer than 5 negative images is not fitted: its weights are 0, and its
        score is the majority's label, 1 or -1, for every image.

        descriptors | (N, D)   | floating | of length 1, as from `image_descriptors`
        shares      | (N, K-1) | floating | share of the classes 1..K-1 among the image's non-void pixels, 0..1

        Args:
            C: weight of the squared hinge losses relative to half the squared length of the weights, above 0.

        Raises:
            ShapeError: the arrays do not fit each other, are empty or not finite, or a share is outside 0..1.
        """
        if descriptors.ndim != 2 or shares.ndim != 2 or len(descriptors) != len(shares) or not descriptors.size:
            raise ShapeError(
                f"descriptors, shares: shapes {descriptors.shape}, {shares.shape}; give (N, D) and (N, K-1)"
            )
        if not np.isfinite(descriptors).all() or not ((shares >= 0) & (shares <= 1)).all():
            raise ShapeError("descriptors must be finite, and shares in 0..1")
        thresholds = size_thresholds(shares)
        large = (shares[:, :, None] >= thresholds).reshape(len(shares), -1)
        labels = np.concatenate([shares > 0, large], axis=1)  # (N, 5 (K-1))
        positive = labels.sum(axis=0)
        learnt = np.minimum(positive, len(labels) - positive) >= FEWEST
        weights = np.zeros((labels.shape[1], descriptors.shape[1]), np.float32)
        intercepts = np.where(2 * positive > len(labels), 1, -1).astype(np.float32)
        descriptors = np.ascontiguousarray(descriptors, np.float64)  # liblinear's format, converted once for all SVMs
        for number, name in enumerate(_names(shares.shape[1])):
            if learnt[number]:
                weights[number], intercepts[number] = _fit(descriptors, labels[:, number], C, name)
            else:
                LOGGER.info("%s: %d images of %d, not learnt", name, positive[number], len(labels))
        return cls(weights, intercepts, thresholds)

    def scores(self, descriptors: np.ndarray) -> np.ndarray:
        """Score images; a positive score means that the class is present, or covers at least the size's threshold.

        descriptors | (N, D)       | floating | as in `fit`
        returns     | (N, 5 (K-1)) | float32  | presence of the classes 1..K-1 first, then the four sizes of each class

        Raises:
            ShapeError: the descriptors are not (N, D) with the D of `fit`.
        """
        if descriptors.ndim != 2 or descriptors.shape[1] != self.weights.shape[1]:
            raise ShapeError(f"descriptors must be (N, {self.weights.shape[1]}), got {descriptors.shape}")
        return descriptors.astype(np.float32) @ self.weights.T + self.intercepts


def size_thresholds(shares: np.ndarray) -> np.ndarray:
    """Return the 20th, 40th, 60th and 80th percentile of each class's share, over the images that contain the class.

    shares  | (N, K-1) | floating | 0..1; share of each class but background in each image
    returns | (K-1, 4) | float64  | not interpolated: each is the share in an image; inf if no image contains the class

    Paper: section 4, "CNN Classification"; which images to use is our choice.
    """
    thresholds = np.full((shares.shape[1], len(PERCENTILES)), np.inf)
    for k, share in enumerate(shares.T):
        if (share > 0).any():
            thresholds[k] = np.percentile(share[share > 0], PERCENTILES, method="inverted_cdf")
    return thresholds


def _names(classes: int) -> list[str]:
    own = [f"class {k}" for k in range(1, classes + 1)]
    return [*own, *(f"{name} of size {percent}" for name in own for percent in PERCENTILES)]


def _fit(descriptors: np.ndarray, labels: np.ndarray, C: float, name: str) -> tuple[np.ndarray, float]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    svm = LinearSVC(C=C, dual="auto", random_state=0, max_iter=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it does not say which SVM
        svm.fit(descriptors, labels)
    if svm.n_iter_ >= svm.max_iter:
        LOGGER.warning("%s: the SVM did not converge in %d rounds; lower C", name, svm.max_iter)
    return svm.coef_[0], float(svm.intercept_[0])
