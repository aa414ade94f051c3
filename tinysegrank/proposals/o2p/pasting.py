"""Greedy pasting of scored segments, O2P's inference, as an engine of `divmbest`.

Each segment is a node that takes background or one class. The score of a pasting is the sum of its segments' scores
above the background, minus a penalty that grows with their number. The best pasting therefore consists of the few
segments that score most, and the greedy choice is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals.divmbest import PastedSegments, Proposal
from tinysegrank.proposals.o2p.segments import Segments

LAMBDAS = (0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16)
"""Weights of diversity to choose from, in units of overlap; the release of DivMBest uses 0.08."""
THRESHOLDS = tuple(n / 50 for n in range(26))
"""Scores of background to choose from: 0 to 0.5 of overlap above the mean."""
MOST, SIMPLICITY = 3, 0.02


@dataclass(frozen=True, eq=False)
class PasteState:
    """Scores with the penalties so far.

    scores     | (R, K-1) | float64 | of classes 1..K-1 on each segment
    background | (R,)     | float64 | of class 0 on each segment
    """

    scores: np.ndarray
    background: np.ndarray


class PasteEngine:
    """Engine of pastings: score = sum over pasted r of (scores[r, class] - threshold) - simplicity * (0 + 1 + ...).

    scores   | (R, K-1) | floating | of classes 1..K-1 on each segment, such as predicted overlap; K of 2..255
    segments |          | Segments | R segments; R may be 0

    Args:
        threshold: score of background without penalties; at first a segment is pasted only if it scores more.
        most: largest number of segments pasted; overlapping ones are not suppressed.
        simplicity: each further segment must beat the background by this much more than the one before.

    A segment's label is its best class or background. Segments are taken in order of their score above background, at
    most `most` of them, as long as this score exceeds `simplicity` * (number taken before). They are pasted so that the
    best ends on top. Pixels in no pasted segment are background.

    Diversity is the Hamming distance over segments. After a pasting, `diversify` subtracts its `lam` from the score of
    each pasted pair of class and segment, for good. It also subtracts it from the background score of all other
    segments, but only for the next pasting, as in the release: added up, these penalties would grow with nearly every
    pasting.

    Raises:
        ShapeError: the scores do not fit the segments, K is out of range, or a score is not finite.
        ConfigError: an option is out of range.

    Source: Carreira, Caseiro, Batista and Sminchisescu, "Semantic Segmentation with Second-Order Pooling", ECCV 2012;
    the rule of get_div_semantic_seg.m in the DivMBest release. The docstring of `proposals` lists the differences.
    """

    def __init__(
        self,
        scores: np.ndarray,
        segments: Segments,
        *,
        threshold: float,
        most: int = MOST,
        simplicity: float = SIMPLICITY,
    ) -> None:
        if scores.ndim != 2 or len(scores) != len(segments) or not 1 <= scores.shape[1] <= 254:
            raise ShapeError(f"scores {scores.shape}: give ({len(segments)}, K-1) for these segments, K-1 of 1..254")
        if not np.isfinite(scores).all():
            raise ShapeError("scores: all must be finite")
        if most < 1:
            raise ConfigError(f"most must be at least 1, got {most}")
        if not 0 <= simplicity < float("inf"):
            raise ConfigError(f"simplicity must be at least 0 and finite, got {simplicity}")
        if not np.isfinite(threshold):
            raise ConfigError(f"threshold must be finite, got {threshold}")
        self.scores = scores.astype(np.float64)
        self.segments = segments
        self.areas = segments.superpixel_areas()
        self.threshold, self.most, self.simplicity = float(threshold), most, float(simplicity)

    def initial(self) -> PasteState:
        """Return the scores without any penalty."""
        return PasteState(self.scores, np.full(len(self.scores), self.threshold))

    def solve(self, state: PasteState) -> Proposal:
        """Find the best pasting under the penalised scores; its `score` is without penalties."""
        gains = state.scores - state.background[:, None]  # (R, K-1)
        best = gains.max(axis=1)  # (R,)
        order = np.argsort(-best, kind="stable")[: self.most]
        kept = order[best[order] > self.simplicity * np.arange(len(order))]  # a prefix: gains fall, the bar rises
        return self.paste(kept, 1 + gains[kept].argmax(axis=1))

    def paste(self, pasted: np.ndarray, classes: np.ndarray) -> Proposal:
        """Return the proposal of given segments with given classes, the first of them on top.

        pasted  | (n,) | integer | distinct numbers of segments
        classes | (n,) | integer | 1..K-1
        """
        nodes = np.zeros(len(self.scores), np.int64)
        nodes[pasted] = classes
        top = np.full(self.segments.members.shape[1], -1)  # (S,) which of the pasted ones is seen, -1 background
        for n in range(len(pasted))[::-1]:
            top[self.segments.members[pasted[n]]] = n
        labels = np.append(classes, 0).astype(np.uint8)[top]  # (S,); -1 takes the 0 at the end
        seen = np.bincount(top + 1, self.areas, len(pasted) + 1)[1:].astype(np.int64)  # (n,)
        own = self.scores[pasted, classes - 1]  # (n,)
        score = (own - self.threshold).sum() - self.simplicity * np.arange(len(pasted)).sum()
        parts = PastedSegments(np.asarray(classes), own, seen)
        return Proposal(labels[self.segments.superpixels], float(score), nodes, parts)

    def diversify(self, state: PasteState, found: Proposal, lam: float) -> PasteState:
        """Return the state for the next pasting: the labels of all segments in `found` score `lam` less.

        Penalties on pairs of class and segment add up; those on background replace the earlier ones.
        """
        pasted = found.nodes > 0  # (R,)
        scores = state.scores.copy()
        scores[pasted, found.nodes[pasted] - 1] -= lam
        return PasteState(scores, np.where(pasted, self.threshold, self.threshold - lam))
