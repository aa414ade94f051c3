"""Features of a proposal as a whole: its engine's score, and the segments that it was pasted from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals import PastedSegments
from tinysegrank.voc import CLASS_NAMES


def summary_feature_names(class_names: Sequence[str] = CLASS_NAMES) -> tuple[str, ...]:
    """Return the names of the columns of `summary_features`."""
    of_class = (f"max_segment_score_{name}" for name in class_names[1:])
    return ("map_score", "rank", "log_rank", "segments", "classes", "mean_pixel_score", *of_class, "has_segments")


def summary_features(
    counts: np.ndarray, scores: np.ndarray | None = None, segments: Sequence[PastedSegments | None] | None = None
) -> np.ndarray:
    """Describe each proposal of an image by its score, its rank, and the segments that it was pasted from.

    Columns, in the order of `summary_feature_names`: the engine's score, 0 if unknown; the number of proposals before
    this one, and log(1 + that number); the number of pasted segments; the number of classes but background; the mean
    over all pixels of the score of the visible segment, 0 in the background; for each class the best score of its
    pasted segments, 0 without any; and 1 if the segments are known. If they are not, all columns of segments are 0.

    Scores of two engines, one with segments, are not comparable: each is then taken relative to its engine's best, in
    units of the standard deviation within the engine.

    counts  | (M, K)    | integer  | pixels of each class, in the order of the proposals' rank
    scores  | (M,)      | floating | `Proposal.score`; NaN where unknown
    returns | (M, K+6)  | float32  | 27 columns for the 21 classes of VOC

    Args:
        segments: `Proposal.segments` of each, also from `ProposalStore.read_segments`; unknown by default.

    Raises:
        ShapeError: there is not one score or entry of segments for each proposal, a score is infinite, or a segment's
            class is not in 1..K-1.

    Source: Yadollahpour et al. name the score and rank of a solution and O2P's scores of pixels and segments, but the
    release has no code for them: these definitions are our choice.
    """
    M, K = counts.shape
    scores = np.full(M, np.nan) if scores is None else np.asarray(scores, np.float64)
    segments = [None] * M if segments is None else segments
    if scores.shape != (M,) or len(segments) != M:
        raise ShapeError(f"scores {scores.shape}, segments {len(segments)}: give one for each of {M} proposals")
    if np.isinf(scores).any():
        raise ShapeError("scores: one is infinite; leave unknown ones NaN")
    rank, scores = np.arange(M), _comparable(scores, np.array([parts is not None for parts in segments], bool))
    pasted = np.array([_of_segments(parts, int(counts[m].sum()), K) for m, parts in enumerate(segments)])
    pasted = pasted.reshape(M, K + 2)  # number, mean pixel score, K-1 best scores, has_segments
    columns = [np.nan_to_num(scores), rank, np.log1p(rank), pasted[:, 0], (counts[:, 1:] > 0).sum(axis=1)]
    return np.concatenate([np.stack(columns, axis=1), pasted[:, 1:]], axis=1).astype(np.float32)  # (M, K+6)


def _comparable(scores: np.ndarray, has_segments: np.ndarray) -> np.ndarray:
    """Return scores of one engine unchanged, and those of two in units of their own: (M,), (M,) bool -> (M,)."""
    engines = [np.flatnonzero(kind & np.isfinite(scores)) for kind in (has_segments, ~has_segments)]
    if not all(map(len, engines)):
        return scores
    out = scores.copy()
    for rows in engines:
        out[rows] = (scores[rows] - scores[rows].max()) / (scores[rows].std() or 1.0)
    return out


def _of_segments(parts: PastedSegments | None, pixels: int, num_classes: int) -> np.ndarray:
    row = np.zeros(num_classes + 2)
    if parts is None:
        return row
    classes = np.asarray(parts.classes)
    if len(classes) and not 1 <= classes.min() <= classes.max() < num_classes:
        raise ShapeError(f"segments: classes must be in 1..{num_classes - 1}, got {np.unique(classes)}")
    row[0], row[-1] = len(classes), 1
    row[1] = (np.asarray(parts.scores) * parts.pixels).sum() / pixels
    for k in np.unique(classes):
        row[1 + k] = np.max(np.asarray(parts.scores)[classes == k])
    return row
