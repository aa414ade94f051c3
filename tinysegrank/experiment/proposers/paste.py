"""Proposals by greedy pasting: regressors fitted on the run's segments, constants chosen on fold 0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinysegrank.experiment.images import ImageOfRun, images_of
from tinysegrank.experiment.photograph import Photograph, beside
from tinysegrank.experiment.proposers.divmbest import DivMBestProposer
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import pooled
from tinysegrank.experiment.stages.pooled import read_pooled
from tinysegrank.experiment.stages.segments import read_rows
from tinysegrank.experiment.tasks import map_tasks
from tinysegrank.files import atomic_write, read_arrays, write_arrays
from tinysegrank.proposals import PasteEngine, SegmentScorer
from tinysegrank.stored_rows import RowFile

_HELD = 500_000_000  # bytes of rows and products that one fit holds at a time, about


@dataclass(frozen=True)
class Pasting:
    """The constants of pasting.

    threshold: score of the background.
    lam: weight of diversity, in units of the score.
    count: number of proposals M.
    """

    threshold: float = 0.2
    lam: float = 0.08
    count: int = 10


class PasteProposer(DivMBestProposer):
    """DivMBest over pastings of CPMC segments, scored by support vector regression on their descriptions."""

    name = "paste"
    reads_segments = True
    kind, models, constants = SegmentScorer, "segment regressors", Pasting
    examples, first = "segments", 1
    files = ("rows.float32", "rows.safetensors")  # features, which may not fit into memory, and the rest

    def map_views(self, settings: Settings) -> tuple[bool, ...]:
        """Return the views whose trunk maps describe or rank segments: False for an image, True for its mirror."""
        asked = settings.proposals.paste
        if asked.features != "hand":
            return (False, True)
        return (False,) if asked.segments.rank_channels else ()

    def gather(self, run: Run, files: Sequence[Path]) -> int:
        """Write the training images' described rows and their targets; return about how many bytes a fit takes."""
        (path, rest), images = files, images_of(run, "train")
        parts = []
        with atomic_write(path) as stream:
            for features, targets in map_tasks(run, "images of the segment regressors", _rows, images):
                stream.write(features.tobytes())
                parts.append(targets)
        targets = np.concatenate(parts)
        write_arrays(rest, {"targets": targets, "images": np.repeat(np.arange(len(images)), list(map(len, parts)))})
        return 6 * targets.nbytes + _HELD

    def fit_model(self, settings: Settings, fold: int, used: np.ndarray, files: Sequence[Path]) -> SegmentScorer:  # noqa: ARG002
        """Fit segment regressors to the rows in `files` of the training images for which `used` (images,) is True."""
        path, rest = files
        arrays = read_arrays(rest)
        targets, chosen = arrays["targets"], np.flatnonzero(used[arrays["images"]])
        return SegmentScorer().fit(RowFile(path, len(targets), np.float32, chosen), targets[chosen])

    def choose(self, run: Run) -> None:
        """Choose the threshold with the best first proposals, then the lambda with the best oracle, and write both."""
        asked, count = run.settings.proposals.paste, run.settings.proposals.count
        thresholds = [Pasting(threshold, 0.0, 1) for threshold in asked.thresholds]
        by_threshold = self.try_out(run, thresholds, images=asked.choice_images)
        threshold = by_threshold.best.threshold
        grid = [Pasting(threshold, lam, count) for lam in asked.lambdas]
        choice = self.try_out(run, grid, images=asked.choice_images)
        tried = {
            "thresholds": dict(zip(map(str, asked.thresholds), by_threshold.one_best.tolist(), strict=True)),
            "lambdas": dict(zip(map(str, asked.lambdas), choice.oracle.tolist(), strict=True)),
        }
        self.keep(run, choice, f"threshold {threshold:g}", tried)

    def engines(self, photograph: Photograph, model: SegmentScorer, grid: Sequence[Pasting]) -> Iterable[PasteEngine]:
        """Return the pasting engine of a photograph under each entry of a grid of constants."""
        scores = model.scores(photograph.descriptions)
        return [PasteEngine(scores, photograph.segments, threshold=options.threshold) for options in grid]


def _rows(image: ImageOfRun) -> tuple[np.ndarray, np.ndarray]:
    hand, targets = read_rows(image)
    return beside(hand, read_pooled(image) if pooled.used(image.run.settings) else None), targets
