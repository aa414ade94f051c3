"""Proposals by greedy pasting: regressors fitted on the run's segments, threshold and lambda chosen on fold 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.config import from_dict, to_dict
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import ImageOfRun, folds, images_of, model_path
from tinysegrank.experiment.proposers.protocol import (
    FOLDER,
    Model,
    choose_on_held_out,
    is_chosen,
    read_chosen,
    say_what_is_not_learnt,
    write_chosen,
)
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import ProposalSettings, Settings
from tinysegrank.experiment.stages import maps
from tinysegrank.experiment.stages.pooled import load_describe, read_pooled
from tinysegrank.experiment.stages.segments import DescribedSegments, load_model, read_rows, read_segments
from tinysegrank.experiment.tasks import do_missing
from tinysegrank.proposals import PasteEngine, Proposal, SegmentScorer, divmbest


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


class PasteProposer:
    """DivMBest over pastings of CPMC segments, scored by support vector regression on their descriptions."""

    name = "paste"
    reads_segments = True

    def map_views(self, settings: Settings) -> tuple[bool, ...]:
        """See `Proposer.map_views`."""
        return () if settings.proposals.paste.features == "hand" else (False, True)

    def check(self, settings: Settings) -> None:
        """See `Proposer.check`."""
        maps.check(settings)

    def fit(self, run: Run) -> None:
        """Fit regressors on all training images and without each fold; choose threshold, then lambda, on fold 0."""
        folder, fold_of = run.folder(FOLDER) / self.name, folds(run)
        tasks = [
            _Fit(images_of(run, "train", np.flatnonzero(fold_of != fold)), model_path(folder, fold))
            for fold in (-1, *range(run.settings.folds))
        ]
        # each holds all its rows: one at a time
        do_missing(run, "segment regressors", _fit, tasks, lambda task: [task.path], local=True)
        for task in tasks:
            learnt = SegmentScorer.load(task.path).classes_
            say_what_is_not_learnt(run, task.path, "segments", learnt, range(1, len(run.settings.classes)))
        if not is_chosen(run, self.name):
            _choose(run)

    def propose(self, image: ImageOfRun, model: Model) -> list[Proposal]:
        """See `Proposer.propose`."""
        return propose_under(image, model, (_chosen(model.folder),))[0]

    def load(self, run: Run) -> Callable[[np.ndarray], list[Proposal]]:
        """See `Proposer.load`."""
        folder = run.folder(FOLDER) / self.name
        chosen, scorer = _chosen(folder), SegmentScorer.load(model_path(folder, -1))
        model, features = load_model(run), run.settings.proposals.paste.features
        by_maps = None if features == "hand" else load_describe(run)

        def propose(image: np.ndarray) -> list[Proposal]:
            segments = model.segments(image)
            hand = None if features == "trunk" else model.describe(image, segments)
            described = _beside(hand, None if by_maps is None else by_maps(image, segments))
            return _propose(DescribedSegments(segments, described), scorer, (chosen,))[0]

        return propose


def _chosen(folder: Path) -> Pasting:
    return from_dict(Pasting, read_chosen(folder))


class _Fit(NamedTuple):
    images: list[ImageOfRun]
    path: Path


def _fit(task: _Fit) -> None:
    parts = [_rows(image) for image in task.images]
    features, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    parts.clear()
    SegmentScorer().fit(features, targets).save(task.path)


def _rows(image: ImageOfRun) -> tuple[np.ndarray, np.ndarray]:
    hand, targets = read_rows(image)
    return _as_asked(image, hand), targets


def _described(image: ImageOfRun) -> DescribedSegments:
    segments, hand = read_segments(image)
    return DescribedSegments(segments, _as_asked(image, hand))


def _as_asked(image: ImageOfRun, hand: np.ndarray) -> np.ndarray:
    """Return the descriptions that the settings ask for, of as many rows as there are in `hand`."""
    features = image.run.settings.proposals.paste.features
    by_maps = None if features == "hand" else read_pooled(image)[: len(hand)]
    return _beside(None if features == "trunk" else hand, by_maps)


def _beside(*descriptions: np.ndarray | None) -> np.ndarray:
    """Return descriptions of the same segments beside each other, without those not asked for."""
    return np.concatenate([part for part in descriptions if part is not None], axis=1)


def grid_of(asked: ProposalSettings, threshold: float) -> list[Pasting]:
    """Return the constants to choose from, given the threshold."""
    return [Pasting(threshold, lam, asked.count) for lam in asked.paste.lambdas]


def _choose(run: Run) -> None:
    asked, name = run.settings.proposals, PasteProposer.name
    thresholds = [Pasting(threshold, 0.0, 1) for threshold in asked.paste.thresholds]
    by_threshold = choose_on_held_out(run, name, thresholds, propose_under, images=asked.paste.choice_images)
    threshold = by_threshold.best.threshold
    choice = choose_on_held_out(run, name, grid_of(asked, threshold), propose_under, images=asked.paste.choice_images)
    run.progress.say(
        f"threshold {threshold:g}, lambda {choice.best.lam:g}: oracle {choice.oracle.max():.1%}, 1-best "
        f"{choice.one_best[0]:.1%} mean {asked.choice_by} IoU on held-out training images"
    )
    tried = {
        "thresholds": dict(zip(map(str, asked.paste.thresholds), by_threshold.one_best.tolist(), strict=True)),
        "lambdas": dict(zip(map(str, asked.paste.lambdas), choice.oracle.tolist(), strict=True)),
    }
    write_chosen(run, name, to_dict(choice.best), tried)


def engine_of(image: ImageOfRun, model: Model) -> tuple[PasteEngine, Pasting]:
    """Return the pasting engine of an image of the run, and the constants that were chosen."""
    chosen = _chosen(model.folder)
    return _engines(_described(image), load_once(SegmentScorer.load, model.path), (chosen,))[0], chosen


def propose_under(image: ImageOfRun, model: Model, grid: tuple[Pasting, ...]) -> list[list[Proposal]]:
    """Propose for an image of the run under each setting."""
    return _propose(_described(image), load_once(SegmentScorer.load, model.path), grid)


def _propose(described: DescribedSegments, scorer: SegmentScorer, grid: tuple[Pasting, ...]) -> list[list[Proposal]]:
    engines = zip(_engines(described, scorer, grid), grid, strict=True)
    return [divmbest(engine, options.lam, options.count) for engine, options in engines]


def _engines(described: DescribedSegments, scorer: SegmentScorer, grid: tuple[Pasting, ...]) -> list[PasteEngine]:
    scores = scorer.scores(described.features)
    return [PasteEngine(scores, described.segments, threshold=options.threshold) for options in grid]
