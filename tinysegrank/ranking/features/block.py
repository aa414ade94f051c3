"""A block of features, and the proposals of an image as the input of every block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals import PastedSegments
from tinysegrank.proposals.o2p.cpmc import edge_map
from tinysegrank.voc import CLASS_NAMES, soft_targets_many


@dataclass(frozen=True, eq=False)
class ImageProposals:
    """The proposals of one image, and everything else that blocks of features are computed from.

    image             | (H, W) or (H, W, 3) | uint8    | 0..255
    coarse            | (h, w, K)           | floating | SegNet's distribution of each cell
    labels            | (M, H, W)           | integer  | 0..K-1; the proposals, best first
    classifier_scores | (5 (K-1),)          | floating | scores of the image: a row of `ImageClassifier.scores`
    size_thresholds   | (K-1, 4)            | floating | `ImageClassifier.thresholds` of the same classifiers
    scores            | (M,)                | floating | `Proposal.score`; NaN where unknown

    Args:
        coarse: for training images, from a network that was not trained on them.
        classifier_scores: for training images, from classifiers that were not trained on them; like size_thresholds,
            needed by some blocks only.
        scores: unknown by default.
        segments: segments that each proposal was pasted from, or None; from `ProposalStore.read_segments`; unknown by
            default.
        eps: smoothing of the divergences from SegNet's map, as in `kl_divergences`.
        class_names: names of the K classes, background first.
        lab: the image in CIE Lab, (H, W, 3) float32; computed if None.

    Raises:
        ShapeError: the labels do not fit the image, or `coarse` does not fit the class names.
    """

    image: np.ndarray
    coarse: np.ndarray
    labels: np.ndarray
    _: KW_ONLY
    classifier_scores: np.ndarray | None = None
    size_thresholds: np.ndarray | None = None
    scores: np.ndarray | None = None
    segments: Sequence[PastedSegments | None] | None = None
    eps: float = 1e-3
    class_names: Sequence[str] = CLASS_NAMES
    lab: np.ndarray | None = None

    def __post_init__(self) -> None:
        size = self.image.shape[:2]
        if np.ndim(self.labels) != 3 or np.shape(self.labels)[1:] != size:
            raise ShapeError(f"labels: shape {np.shape(self.labels)} is not (M, {', '.join(map(str, size))})")
        if self.coarse.ndim != 3 or self.coarse.shape[-1] != self.num_classes:
            raise ShapeError(
                f"coarse: shape {self.coarse.shape} is not (h, w, {self.num_classes}), as there are "
                f"{self.num_classes} class names"
            )

    @property
    def num_classes(self) -> int:
        """Number of classes K, background included."""
        return len(self.class_names)

    @cached_property
    def cells(self) -> np.ndarray:
        """Share of each class in each cell of SegNet's grid, for each proposal: (M, h, w, K)."""
        grid = (self.coarse.shape[0], self.coarse.shape[1])
        return soft_targets_many(self.labels, grid=grid, num_classes=self.num_classes, void=None)[0]

    @cached_property
    def edges(self) -> np.ndarray:
        """Strength of the image's edges, 0..1: (H, W)."""
        return edge_map(self.image, lab=self.lab)


class Block(NamedTuple):
    """A block of features, as two functions.

    Attributes:
        columns: takes the names of the classes, background first, and returns the names of the columns.
        compute: takes the proposals of an image, and returns one row per proposal, one number per column, in float32.
    """

    columns: Callable[[Sequence[str]], tuple[str, ...]]
    compute: Callable[[ImageProposals], np.ndarray]
