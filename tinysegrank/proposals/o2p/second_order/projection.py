"""Reduce descriptions by uncentred principal components, so that those of all segments fit in memory."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.fitted import Fitted


class Projection(Fitted, tag="tinysegrank projection 1", shapes={"directions": ("D", "P")}):
    """Projection on the principal directions of descriptions, whose mean is not subtracted.

    directions | (D, P) | float32 | orthonormal columns, by decreasing singular value
    """

    def __init__(self, directions: NDArray[np.float32]) -> None:
        if directions.ndim != 2 or not 1 <= directions.shape[1] <= len(directions):
            raise ShapeError(f"directions: (D, P) with P of 1..D is needed, got {directions.shape}")
        self.directions = directions

    @classmethod
    def fit(cls, descriptions: NDArray[np.float32], *, rng: np.random.Generator, size: int = 512) -> Self:
        """Find the directions by randomised SVD.

        descriptions | (N, D) | float32 | of training segments; 10 * `size` rows from many images are enough

        Args:
            rng: random generator of the initial directions.
            size: number of directions P; fewer if N or D is smaller.

        Raises:
            ShapeError: there is no row or column, or a number is not finite.
            ConfigError: `size` is below 1.
        """
        from sklearn.utils.extmath import randomized_svd

        if size < 1:
            raise ConfigError(f"size must be at least 1, got {size}")
        if descriptions.ndim != 2 or not descriptions.size or not np.isfinite(descriptions).all():
            raise ShapeError(f"descriptions: finite numbers (N, D) are needed, at least one, got {descriptions.shape}")
        kept = min(size, *descriptions.shape)
        _, _, directions = randomized_svd(descriptions, kept, random_state=int(rng.integers(2**31)))
        return cls(np.ascontiguousarray(directions.T, np.float32))

    def apply(self, descriptions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project: (R, D) to (R, P).

        Raises:
            ShapeError: the descriptions have another length than those in `fit`.
        """
        if descriptions.ndim != 2 or descriptions.shape[1] != len(self.directions):
            raise ShapeError(f"descriptions must be (R, {len(self.directions)}), got {descriptions.shape}")
        return np.asarray(descriptions @ self.directions, np.float32)
