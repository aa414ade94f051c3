"""Reduce local descriptors before pooling, and whole descriptions after it, by uncentred principal components.

The logarithm of an n x n matrix costs n^3 and a description has n^2 numbers, so a smaller n makes both cheap. The mean
is not subtracted, so that the mean outer product of projected descriptors is a projection of the full one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.fitted import Fitted
from tinysegrank.proposals.o2p.second_order.lbp import LBP_LENGTH
from tinysegrank.proposals.o2p.second_order.local import ImageDescriptors, SecondOrderOptions, local_descriptors
from tinysegrank.proposals.o2p.second_order.sift import SIFT_LENGTH


class DescriptorReduction(
    Fitted, tag="tinysegrank descriptor reduction 1", shapes={"sift": (SIFT_LENGTH, "a"), "lbp": (LBP_LENGTH, "b")}
):
    """Projections of SIFT and of binary patterns; colours and places are not projected.

    sift | (128, a) | float32 | orthonormal columns, by decreasing eigenvalue
    lbp  | (58, b)  | float32 | orthonormal columns, by decreasing eigenvalue

    Raises:
        ConfigError: a matrix has another shape.
    """

    def __init__(self, sift: np.ndarray, lbp: np.ndarray) -> None:
        for name, matrix, length in (("sift", sift, SIFT_LENGTH), ("lbp", lbp, LBP_LENGTH)):
            if matrix.ndim != 2 or len(matrix) != length or not 1 <= matrix.shape[1] <= length:
                raise ConfigError(f"{name}: a projection is ({length}, 1..{length}), got {matrix.shape}")
        self.sift = sift
        self.lbp = lbp

    @classmethod
    def fit(
        cls, images: Iterable[np.ndarray], *, options: SecondOrderOptions | None = None, sift: int = 96, lbp: int = 58
    ) -> Self:
        """Find the directions from all local descriptors of some images.

        Args:
            images: (H, W) or (H, W, 3) uint8 each, read once; a hundred are enough.
            options: see `SecondOrderOptions`.
            sift: dimensions to keep of SIFT's 128.
            lbp: dimensions to keep of the 58 binary patterns.

        Raises:
            ConfigError: there is no image.
            ShapeError: an image is not 8-bit grey or RGB.
        """
        moments = [np.zeros((length, length)) for length in (SIFT_LENGTH, LBP_LENGTH)]
        count = 0
        for image in images:
            for moment, kind in zip(moments, local_descriptors(image, options or SecondOrderOptions()), strict=True):
                moment += kind.texture.T @ kind.texture
            count += 1
        if not count:
            raise ConfigError("images: give at least one to fit on")
        return cls(longest(moments[0], sift), longest(moments[1], lbp))

    def apply(self, local: ImageDescriptors) -> ImageDescriptors:
        """Return the descriptors with SIFT projected to (N, a) and binary patterns to (N, b)."""
        return ImageDescriptors(
            local.sift._replace(texture=local.sift.texture @ self.sift),
            local.lbp._replace(texture=local.lbp.texture @ self.lbp),
        )


def longest(moment: np.ndarray, size: int) -> np.ndarray:
    """Return the eigenvectors of the `size` largest eigenvalues as columns, the largest first: (n, n) -> (n, size).

    They are float32, and the entry of largest magnitude in each is positive.
    """
    vectors = np.linalg.eigh(moment)[1][:, ::-1][:, :size]
    peak = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)  # (1, size)
    return np.asarray(vectors * np.sign(peak), np.float32)


class Projection(Fitted, tag="tinysegrank projection 1", shapes={"directions": ("D", "P")}):
    """Projection on the principal directions of descriptions, which are not centred.

    directions | (D, P) | float32 | orthonormal columns, by decreasing singular value

    Raises:
        ShapeError: the directions have another shape, or there are more than D.
    """

    def __init__(self, directions: np.ndarray) -> None:
        if directions.ndim != 2 or not 1 <= directions.shape[1] <= len(directions):
            raise ShapeError(f"directions: (D, P) with P of 1..D is needed, got {directions.shape}")
        self.directions = directions

    @classmethod
    def fit(cls, descriptions: np.ndarray, *, rng: np.random.Generator, size: int = 512) -> Self:
        """Find the directions by randomised SVD.

        descriptions | (N, D) | float32 | of training segments; 10 * `size` rows from many images are enough

        Args:
            rng: random generator of the initial directions.
            size: number of directions P, at least 1; fewer if N or D is smaller.

        Raises:
            ShapeError: there is no row or column, or a number is not finite.
        """
        from sklearn.utils.extmath import randomized_svd

        if descriptions.ndim != 2 or not descriptions.size or not np.isfinite(descriptions).all():
            raise ShapeError(f"descriptions: finite numbers (N, D) are needed, at least one, got {descriptions.shape}")
        kept = min(size, *descriptions.shape)
        _, _, directions = randomized_svd(descriptions, kept, random_state=int(rng.integers(2**31)))
        return cls(np.ascontiguousarray(directions.T, np.float32))

    def apply(self, descriptions: np.ndarray) -> np.ndarray:
        """Return the descriptions projected on the directions: (R, D) -> (R, P) float32.

        Raises:
            ShapeError: the descriptions have another length than those in `fit`.
        """
        if descriptions.ndim != 2 or descriptions.shape[1] != len(self.directions):
            raise ShapeError(f"descriptions must be (R, {len(self.directions)}), got {descriptions.shape}")
        return np.asarray(descriptions @ self.directions, np.float32)
