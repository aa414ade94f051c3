"""Module 1 of the run: the proposers' models, and the proposals of every image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment import data
from tinysegrank.experiment.proposers import Proposer, proposers_of
from tinysegrank.experiment.proposers.protocol import Model, model_of
from tinysegrank.experiment.regions import ImageTask, image_tasks
from tinysegrank.experiment.runner import Run
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import Proposal, ProposalStore


def fit_proposers(run: Run) -> None:
    """Fit each proposer on all training images and without each fold, and choose its constants on fold 0."""
    for proposer in proposers_of(run.settings):
        proposer.fit(run)


def store(run: Run, which: str) -> ProposalStore:
    """The proposals of a split."""
    return ProposalStore(run.folder("proposals") / which)


class _Propose(NamedTuple):
    image: ImageTask
    models: tuple[tuple[Proposer, Model], ...]
    store: Path
    name: str


def propose_all(run: Run) -> None:
    """Write the proposals of every image; a training image's come from the models that did not see it."""
    proposers, fold_of = proposers_of(run.settings), data.folds(run)
    for which in ("train", "val"):
        names, target = data.names(run, which), store(run, which)
        missing = [i for i, name in enumerate(names) if name not in target]
        tasks = []
        for image in image_tasks(run, which, missing):
            fold = int(fold_of[image.number]) if which == "train" else -1
            models = tuple((proposer, model_of(run, proposer.name, fold)) for proposer in proposers)
            tasks.append(_Propose(image, models, target.root, names[image.number]))
        with run.progress.count(f"{which} images", len(names)) as advance:
            advance(len(names) - len(missing))
            for _ in parallel_map(_propose_one, tasks, jobs=run.jobs):
                advance(1)


def _propose_one(task: _Propose) -> None:
    found = [proposer.propose(task.image, model) for proposer, model in task.models]
    ProposalStore(task.store).write(task.name, found[0])


def load_proposer(run: Run) -> Callable[[np.ndarray], list[Proposal]]:
    """A function from an image (H, W, 3) to its proposals, made as this run made those of val."""
    return proposers_of(run.settings)[0].load(run)
