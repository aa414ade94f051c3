"""The score of background under which segments are pasted: one number, fitted on training images and then kept.

`choose_threshold` takes what makes the first labelling of held-out training images most accurate, and is the one to use
by default: it optimises what is reported, whatever the segments and the unit of the scores. `fit_threshold` is the
release's rule, which needs no truth but believes in a number of segments an image; segments of one object count singly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ConfigError
from tinysegrank.proposals.choice import Choice, choose, trial
from tinysegrank.proposals.paste import MOST, SIMPLICITY, PasteEngine, check_pasting, check_scores
from tinysegrank.proposals.segments import Segments
from tinysegrank.voc import NUM_CLASSES

THRESHOLDS = tuple(n / 50 for n in range(26))
"""0 to 0.5 of overlap above the mean."""


def fit_threshold(
    scores: Iterable[NDArray[np.floating]],
    *,
    kept: float = 2.2,
    start: float = 0.20,
    step: float = 0.01,
    most: int = MOST,
    simplicity: float = SIMPLICITY,
) -> float:
    """Raise the threshold until the first labelling keeps few enough segments an image.

    scores | each (R, K-1) | floating | of the segments of a training image, by regressors that did not see it

    Args:
        scores: one array an image; an image without segments keeps none.
        kept: mean number of pasted segments an image that is few enough.
        start: first threshold, which is returned if it is high enough.
        step: what it is raised by, as often as it takes.
        most: as of the engine.
        simplicity: as of the engine.

    Raises:
        ConfigError: there is no image, or an option is out of range.
        ShapeError: the scores are not (R, K-1), or one is not finite.

    Source: the search over THRESH in get_div_semantic_seg.m of the DivMBest release, there over the images tested on.
    """
    check_pasting(most, simplicity)
    if not (kept >= 0 and 0 < step < float("inf") and np.isfinite(start)):
        raise ConfigError(f"kept={kept}, start={start}, step={step}: give kept >= 0, a finite start and a step above 0")
    enough: list[NDArray[np.float64]] = []
    for of_image in scores:
        check_scores(of_image)
        best = np.sort(of_image.max(axis=1).astype(np.float64))[::-1][:most]  # (min(R, most),), falling
        enough.append(best - simplicity * np.arange(len(best)))  # each is pasted under any threshold below this
    if not enough:
        raise ConfigError("scores: there is no image; give those of at least one")
    limits = np.sort(np.concatenate(enough))[::-1]  # falling: threshold limits[n] keeps at most n segments
    allowed = int(kept * len(enough))
    if allowed >= len(limits):
        return float(start)
    steps = max(0, int(np.ceil((limits[allowed] - start) / step)) - 1)  # one less: the division rounds
    while np.count_nonzero(limits > start + steps * step) > kept * len(enough):
        steps += 1
    return float(start + steps * step)


def choose_threshold(
    scores: Iterable[NDArray[np.floating]],
    segments: Iterable[Segments],
    truths: Iterable[NDArray[np.integer]],
    grid: Sequence[float] = THRESHOLDS,
    *,
    most: int = MOST,
    simplicity: float = SIMPLICITY,
    num_classes: int = NUM_CLASSES,
) -> Choice[float]:
    """Choose the threshold whose first labellings are the best, by the mean of their image IoU.

    scores   | each (R, K-1) | floating | of the segments of a training image, by regressors that did not see it
    segments | each          | Segments | of the image
    truths   | each (H, W)   | integer  | 0..K-1, or 255 where void

    Returns:
        The choice; its `oracle` and `one_best` are the same, of a single proposal.

    In worker processes make `threshold_trial` of each image, and hand them all to `choose`.

    Raises:
        ConfigError: the grid or the images are empty, or an option is out of range.
        ShapeError: arrays do not fit each other.
    """
    images = zip(scores, segments, truths, strict=True)
    return choose(
        grid,
        (threshold_trial(*image, grid, most=most, simplicity=simplicity, num_classes=num_classes) for image in images),
    )


def threshold_trial(
    scores: NDArray[np.floating],
    segments: Segments,
    truth: NDArray[np.integer],
    grid: Sequence[float] = THRESHOLDS,
    *,
    most: int = MOST,
    simplicity: float = SIMPLICITY,
    num_classes: int = NUM_CLASSES,
) -> NDArray[np.int64]:
    """Confusion matrices of the first labelling of one image under each threshold, as `choose` takes them.

    returns | (G, 2, K, K) | int64 | pixels; the two are equal
    """
    engines = (PasteEngine(scores, segments, threshold=t, most=most, simplicity=simplicity) for t in grid)
    return np.stack([trial(truth, [e.solve(e.initial())], num_classes=num_classes) for e in engines])
