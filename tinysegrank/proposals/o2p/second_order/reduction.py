"""Reduce local descriptors by projection on the principal directions of training descriptors.

The logarithm of an n x n matrix costs n^3 and a description has n^2 numbers, so a smaller n makes both cheap. The mean
is not subtracted, so that the mean outer product of projected descriptors is a projection of the full one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ConfigError
from tinysegrank.fitted import Fitted
from tinysegrank.proposals.o2p.second_order.lbp import LBP_LENGTH
from tinysegrank.proposals.o2p.second_order.local import ImageDescriptors, SecondOrderOptions, local_descriptors
from tinysegrank.proposals.o2p.second_order.sift import SIFT_LENGTH


class DescriptorReduction(
    Fitted, tag="tinysegrank descriptor reduction 1", shapes={"sift": (SIFT_LENGTH, "a"), "lbp": (LBP_LENGTH, "b")}
):
    """Projections of SIFT and of binary patterns; colours and places are not projected.

    sift | (128, a) | float32 | orthonormal columns, by decreasing eigenvalue
    lbp  | (58, b)  | float32 | the same
    """

    def __init__(self, sift: NDArray[np.float32], lbp: NDArray[np.float32]) -> None:
        for name, matrix, length in (("sift", sift, SIFT_LENGTH), ("lbp", lbp, LBP_LENGTH)):
            if matrix.ndim != 2 or len(matrix) != length or not 1 <= matrix.shape[1] <= length:
                raise ConfigError(f"{name}: a projection is ({length}, 1..{length}), got {matrix.shape}")
        self.sift = sift
        self.lbp = lbp

    @classmethod
    def fit(
        cls,
        images: Iterable[NDArray[np.uint8]],
        *,
        options: SecondOrderOptions | None = None,
        sift: int = 96,
        lbp: int = 58,
    ) -> Self:
        """Find the directions from all local descriptors of some images.

        Args:
            images: (H, W) or (H, W, 3) uint8 each, read once; a hundred are enough.
            options: see `SecondOrderOptions`.
            sift: dimensions to keep of SIFT's 128.
            lbp: dimensions to keep of the 58 binary patterns.

        Raises:
            ConfigError: there is no image, or a size is out of range.
        """
        if not 1 <= sift <= SIFT_LENGTH or not 1 <= lbp <= LBP_LENGTH:
            raise ConfigError(f"sift must be in 1..{SIFT_LENGTH} and lbp in 1..{LBP_LENGTH}, got {sift} and {lbp}")
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
        """Project the texture of every local descriptor."""
        return ImageDescriptors(
            local.sift._replace(texture=local.sift.texture @ self.sift),
            local.lbp._replace(texture=local.lbp.texture @ self.lbp),
        )


def longest(moment: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Return the eigenvectors of the `size` largest eigenvalues, in order, their largest entries positive."""
    vectors = np.linalg.eigh(moment)[1][:, ::-1][:, :size]
    peak = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)  # (1, size)
    return np.asarray(vectors * np.sign(peak), np.float32)
