"""Proposals by greedy pasting: regressors fitted on the run's segments, threshold and lambda chosen on fold 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.config import from_dict, to_dict
from tinysegrank.experiment import data
from tinysegrank.experiment.proposers.protocol import (
    CHOSEN,
    FOLDER,
    Model,
    choose_on_held_out,
    model_of,
)
from tinysegrank.experiment.regions import ImageTask
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.segments import FOLDER as SEGMENTS
from tinysegrank.experiment.segments import read_rows, read_segments
from tinysegrank.experiment.settings import ProposalSettings, Settings
from tinysegrank.files import read_json, write_json
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import PasteEngine, Proposal, SegmentModel, SegmentScorer, divmbest
from tinysegrank.voc import CLASS_NAMES, NUM_CLASSES


@dataclass(frozen=True)
class Pasting:
    """What is chosen on training images.

    threshold: score of the background.
    lam: weight of diversity.
    count: M.
    """

    threshold: float = 0.2
    lam: float = 0.08
    count: int = 10


class PasteProposer:
    """DivMBest over pastings of CPMC segments, scored by support vector regression on second-order pooling."""

    name = "paste"

    def check(self, settings: Settings) -> None:
        """See `Proposer.check`."""

    def fit(self, run: Run) -> None:
        """Fit regressors on all training images and without each fold; choose threshold, then lambda, on fold 0."""
        folds = [-1, *range(run.settings.folds)]
        folder = run.folder(FOLDER) / self.name
        tasks = [_fit_task(run, fold) for fold in folds if not data.model_path(folder, fold).is_file()]
        with run.progress.count("segment regressors", len(folds)) as advance:
            advance(len(folds) - len(tasks))
            for _ in parallel_map(_fit, tasks, jobs=1, on_cluster=False):  # each holds all its rows: one at a time
                advance(1)
        for path in (data.model_path(folder, fold) for fold in folds):
            learnt = SegmentScorer.load(path).classes_
            if few := [CLASS_NAMES[k] for k in range(1, NUM_CLASSES) if k not in learnt]:
                run.progress.say(f"{path.stem}: too few segments of {', '.join(few)}; they get a constant score")
        if not (folder / CHOSEN).is_file():
            _choose(run)

    def propose(self, task: ImageTask, model: Model) -> list[Proposal]:
        """See `Proposer.propose`."""
        return propose_under(task, model, (_chosen(model.folder),))[0]

    def load(self, run: Run) -> Callable[[np.ndarray], list[Proposal]]:
        """See `Proposer.load`."""
        folder = run.folder(FOLDER) / self.name
        chosen, scorer = _chosen(folder), SegmentScorer.load(data.model_path(folder, -1))
        model = SegmentModel.load(run.folder(SEGMENTS), run.settings.proposals.paste.segments)

        def propose(image: np.ndarray) -> list[Proposal]:
            segments = model.segments(image)
            scores = scorer.scores(model.describe(image, segments))
            return divmbest(PasteEngine(scores, segments, threshold=chosen.threshold), chosen.lam, chosen.count)

        return propose


def _chosen(folder: Path) -> Pasting:
    return from_dict(Pasting, read_json(folder / CHOSEN)["options"])


class _Fit(NamedTuple):
    segments: Path
    names: list[str]
    path: Path


def _fit_task(run: Run, fold: int) -> _Fit:
    names, fold_of = data.names(run, "train"), data.folds(run)
    used = [names[i] for i in np.flatnonzero(fold_of != fold)]
    return _Fit(run.folder(SEGMENTS), used, data.model_path(run.folder(FOLDER) / PasteProposer.name, fold))


def _fit(task: _Fit) -> None:
    parts = [read_rows(task.segments, name) for name in task.names]
    features, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    parts.clear()
    SegmentScorer().fit(features, targets).save(task.path)


def grid_of(asked: ProposalSettings, threshold: float) -> list[Pasting]:
    """The constants to choose from once there is a threshold."""
    return [Pasting(threshold, lam, asked.count) for lam in asked.paste.lambdas]


def _choose(run: Run) -> None:
    asked = run.settings.proposals
    by_threshold = choose_on_held_out(
        run,
        PasteProposer.name,
        [Pasting(threshold, 0.0, 1) for threshold in asked.paste.thresholds],
        propose_under,
        images=asked.paste.choice_images,
    )
    threshold = by_threshold.best.threshold
    grid = grid_of(asked, threshold)
    choice = choose_on_held_out(run, PasteProposer.name, grid, propose_under, images=asked.paste.choice_images)
    run.progress.say(
        f"threshold {threshold:g}, lambda {choice.best.lam:g}: oracle {choice.oracle.max():.1%}, 1-best "
        f"{choice.one_best[0]:.1%} mean {asked.choice_by} IoU on held-out training images"
    )
    tried = {
        "thresholds": dict(zip(map(str, asked.paste.thresholds), by_threshold.one_best.tolist(), strict=True)),
        "lambdas": dict(zip(map(str, asked.paste.lambdas), choice.oracle.tolist(), strict=True)),
    }
    folder = model_of(run, PasteProposer.name, -1).folder
    write_json(folder / CHOSEN, {"options": to_dict(choice.best), "tried": tried})


def engine_of(task: ImageTask, model: Model) -> tuple[PasteEngine, Pasting]:
    """The pasting engine of an image of the run, and the constants that were chosen."""
    chosen = _chosen(model.folder)
    return _engines(task, model, (chosen,))[0], chosen


def propose_under(task: ImageTask, model: Model, grid: tuple[Pasting, ...]) -> list[list[Proposal]]:
    """The proposals for an image of the run under each setting."""
    engines = zip(_engines(task, model, grid), grid, strict=True)
    return [divmbest(engine, options.lam, options.count) for engine, options in engines]


def _engines(task: ImageTask, model: Model, grid: tuple[Pasting, ...]) -> list[PasteEngine]:
    name = data.split_in_worker(task.settings, task.which).names[task.number]
    described = read_segments(model.folder.parent.parent / SEGMENTS, task.which, name)
    scores = _scorer_in_worker(model.path, model.key).scores(described.features)
    return [PasteEngine(scores, described.segments, threshold=options.threshold) for options in grid]


@lru_cache(maxsize=4)
def _scorer_in_worker(path: Path, key: str) -> SegmentScorer:  # noqa: ARG001  # the key tells states of a file apart
    return SegmentScorer.load(path)
