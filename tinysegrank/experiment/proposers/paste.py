"""Proposals by greedy pasting: regressors fitted on the run's segments, threshold and lambda chosen on fold 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment.images import ImageOfRun, folds, images_of
from tinysegrank.experiment.proposal_settings import ProposalSettings
from tinysegrank.experiment.proposers.divmbest import DivMBestProposer
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps, pooled, segments
from tinysegrank.experiment.stages.pooled import read_pooled
from tinysegrank.experiment.stages.segments import read_rows, read_segments
from tinysegrank.experiment.tasks import do_missing, map_tasks
from tinysegrank.files import atomic_write, read_arrays, write_arrays
from tinysegrank.proposals import PasteEngine, SegmentScorer
from tinysegrank.stored_rows import RowFile

_HELD = 500_000_000  # bytes of rows and products that one fit holds at a time, about


@dataclass(frozen=True)
class Pasting:
    """The constants chosen on training images.

    threshold: score of the background.
    lam: weight of diversity.
    count: M.
    """

    threshold: float = 0.2
    lam: float = 0.08
    count: int = 10


class PasteProposer(DivMBestProposer):
    """DivMBest over pastings of CPMC segments, scored by support vector regression on their descriptions."""

    name = "paste"
    reads_segments = True
    kind, constants, examples, first = SegmentScorer, Pasting, "segments", 1

    def map_views(self, settings: Settings) -> tuple[bool, ...]:
        """See `Proposer.map_views`."""
        asked = settings.proposals.paste
        if asked.features != "hand":
            return (False, True)
        return (False,) if asked.segments.rank_channels else ()

    def fit_models(self, run: Run, paths: Sequence[Path]) -> None:
        """Fit the regressors that don't exist, on rows that are gathered first."""
        if all(path.is_file() for path in paths):
            return
        folder, fold_of = paths[0].parent, folds(run)
        targets = _gather_rows(run, folder)
        tasks = [_Fit(fold_of != fold, folder, path) for fold, path in enumerate(paths, start=-1)]
        do_missing(run, "segment regressors", _fit, tasks, lambda task: [task.path], size=6 * targets + _HELD)
        for file in _row_files(folder):
            file.unlink()

    def choose(self, run: Run) -> None:
        """Choose the threshold that gives the best first proposals, then the lambda that gives the best oracle."""
        asked = run.settings.proposals.paste
        thresholds = [Pasting(threshold, 0.0, 1) for threshold in asked.thresholds]
        by_threshold = self.try_out(run, thresholds, images=asked.choice_images)
        threshold = by_threshold.best.threshold
        choice = self.try_out(run, grid_of(run.settings.proposals, threshold), images=asked.choice_images)
        tried = {
            "thresholds": dict(zip(map(str, asked.thresholds), by_threshold.one_best.tolist(), strict=True)),
            "lambdas": dict(zip(map(str, asked.lambdas), choice.oracle.tolist(), strict=True)),
        }
        self.keep(run, choice, f"threshold {threshold:g}", tried)

    def engines(self, image: ImageOfRun, model: SegmentScorer, grid: Sequence[Pasting]) -> Iterable[PasteEngine]:
        """See `DivMBestProposer.engines`."""
        found, hand = read_segments(image)
        by_maps = _by_maps(image)
        scores = model.scores(_beside(hand, None if by_maps is None else by_maps[: len(found)]))
        return [PasteEngine(scores, found, threshold=options.threshold) for options in grid]

    def load_engine(self, run: Run, model: SegmentScorer) -> Callable[[maps.Photograph, Pasting], PasteEngine]:
        """See `DivMBestProposer.load_engine`."""
        make_segments = segments.load_segments(run)
        by_hand = segments.load_describe(run) if segments.by_hand(run.settings) else None
        by_maps = pooled.load_describe(run) if pooled.used(run.settings) else None

        def engine(photograph: maps.Photograph, options: Pasting) -> PasteEngine:
            found = make_segments(photograph)
            described = _beside(
                by_hand(photograph.image, found) if by_hand else None,
                by_maps(found, photograph.means) if by_maps else None,
            )
            return PasteEngine(model.scores(described), found, threshold=options.threshold)

        return engine


class _Fit(NamedTuple):
    used: np.ndarray  # (images,) bool
    folder: Path  # of the rows
    path: Path


def _row_files(folder: Path) -> tuple[Path, Path]:
    """Return the two files of training rows: float32 features, which may not fit into memory, and everything else."""
    return folder / "rows.float32", folder / "rows.safetensors"


def _gather_rows(run: Run, folder: Path) -> int:
    """Write the training rows of all images one after the other; return the bytes of their targets."""
    (path, rest), images = _row_files(folder), images_of(run, "train")
    parts = []
    with atomic_write(path) as stream:
        for features, targets in map_tasks(run, "images of the segment regressors", _rows, images):
            stream.write(features.tobytes())
            parts.append(targets)
    targets = np.concatenate(parts)
    write_arrays(rest, {"targets": targets, "images": np.repeat(np.arange(len(images)), list(map(len, parts)))})
    return targets.nbytes


def _fit(task: _Fit) -> None:
    path, rest = _row_files(task.folder)
    arrays = read_arrays(rest)
    targets, chosen = arrays["targets"], np.flatnonzero(task.used[arrays["images"]])
    features = RowFile(path, len(targets), np.float32, chosen)
    SegmentScorer().fit(features, targets[chosen]).save(task.path)


def _rows(image: ImageOfRun) -> tuple[np.ndarray, np.ndarray]:
    hand, targets = read_rows(image)
    return _beside(hand, _by_maps(image)), targets


def _by_maps(image: ImageOfRun) -> np.ndarray | None:
    return read_pooled(image) if pooled.used(image.run.settings) else None


def _beside(*descriptions: np.ndarray | None) -> np.ndarray:
    """Return descriptions of the same segments beside each other, without those not asked for."""
    return np.concatenate([part for part in descriptions if part is not None], axis=1)


def grid_of(asked: ProposalSettings, threshold: float) -> list[Pasting]:
    """Return the constants to choose from, given the threshold."""
    return [Pasting(threshold, lam, asked.count) for lam in asked.paste.lambdas]
