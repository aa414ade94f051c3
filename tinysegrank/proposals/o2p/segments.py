"""Figure-ground segments of an image, stored as sets of superpixels, and how well they cover true objects.

A segment is a row of booleans over the image's superpixels, so areas, overlaps and all other sums over pixels are
matrix products with sums over superpixels. CPMC makes such segments; others can be used as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysegrank.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Segments:
    """Segments of one image, in the order of their rank.

    superpixels | (H, W) | integer  | 0..S-1
    members     | (R, S) | bool     | superpixels of each segment; at least one each
    scores      | (R,)   | floating | larger is better; from CPMC's ranker the predicted best overlap with an object

    Raises:
        ShapeError: the arrays do not fit each other, members are not booleans, or a segment is empty.
    """

    superpixels: np.ndarray
    members: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        count = int(self.superpixels.max()) + 1 if self.superpixels.size else 0
        if self.superpixels.ndim != 2 or count == 0 or self.members.shape != (len(self.scores), count):
            raise ShapeError(
                f"segments: superpixels {self.superpixels.shape} with numbers below {count} need members (R, {count}) "
                f"and scores (R,), not {self.members.shape} and {self.scores.shape}"
            )
        if self.members.dtype != np.bool_ or not self.members.any(axis=1).all():
            raise ShapeError("segments: members must be booleans, with at least one superpixel in each segment")

    def __len__(self) -> int:
        return len(self.members)

    def superpixel_areas(self) -> np.ndarray:
        """Count the pixels of each superpixel: (S,) int64."""
        return np.bincount(self.superpixels.ravel(), minlength=self.members.shape[1])

    def mask(self, index: int) -> np.ndarray:
        """Return the mask of one segment: (H, W) bool."""
        return self.members[index][self.superpixels]

    def take(self, order: np.ndarray) -> Segments:
        """Return the segments with these indices, in the given order."""
        return Segments(self.superpixels, self.members[order], self.scores[order])

    def mirrored(self) -> Segments:
        """Return the same segments of the image mirrored left to right."""
        return Segments(self.superpixels[:, ::-1], self.members, self.scores)

    def overlaps_with(self, masks: np.ndarray, *, known: np.ndarray | None = None) -> np.ndarray:
        """Return the intersection over union of every segment with every mask.

        masks   | (O, H, W) | bool    | such as true objects
        known   | (H, W)    | bool    | pixels that count, in VOC those that are not void; all if not given
        returns | (R, O)    | float64 | 0..1; 0 where both are empty

        Raises:
            ShapeError: masks or known are not of the image's size.
        """
        known = np.ones(self.superpixels.shape, np.bool_) if known is None else known
        if masks.shape[1:] != self.superpixels.shape or known.shape != self.superpixels.shape:
            raise ShapeError(f"masks {masks.shape} or known {known.shape} do not fit an image {self.superpixels.shape}")
        count, numbers = self.members.shape[1], self.superpixels[known]
        areas = np.bincount(numbers, minlength=count)  # (S,)
        counts = [np.bincount(numbers[mask[known]], minlength=count) for mask in masks]
        # float64 is exact here, and its product runs in BLAS
        shared = np.array(counts, np.float64).reshape(len(masks), count)  # (O, S)
        members = self.members.astype(np.float64)
        intersection = members @ shared.T  # (R, O)
        union = (members @ areas)[:, None] + shared.sum(axis=1) - intersection
        return intersection / np.maximum(union, 1)


def segment_overlaps(members: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every pair of segments.

    members | (R, S) | bool    | superpixels of each segment
    areas   | (S,)   | integer | pixels of each superpixel
    returns | (R, R) | float64 | 0..1
    """
    exact = np.float32 if areas.sum() < 2**24 else np.float64  # integers up to 2**24 are exact in float32
    weighted = members * areas.astype(exact)  # (R, S)
    intersection = (weighted @ members.T.astype(exact)).astype(np.float64)  # (R, R)
    sizes = weighted.sum(axis=1).astype(np.float64)
    union = sizes[:, None] + sizes - intersection
    return intersection / np.maximum(union, 1)
