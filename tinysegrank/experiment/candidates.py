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
from tinysegrank.experiment.settings import Settings
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import Proposal, ProposalStore, pool


def fit_proposers(run: Run) -> None:
    """Fit each proposer on all training images and without each fold, and choose its constants on fold 0."""
    for proposer in proposers_of(run.settings):
        proposer.fit(run)


def store(run: Run, which: str) -> ProposalStore:
    """The proposals of a split."""
    return ProposalStore(run.folder("proposals") / which)


def listing(settings: Settings) -> dict[str, list[int]]:
    """Sizes and times of the files of proposals that were made elsewhere; none where they are made here."""
    if settings.proposals.engine != "folder":
        return {}
    files = sorted(Path(settings.proposals.folder).rglob("*.png"))
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


class _Propose(NamedTuple):
    image: ImageTask
    models: tuple[tuple[Proposer, Model], ...]
    store: Path
    name: str
    most: int


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
            tasks.append(_Propose(image, models, target.root, names[image.number], run.settings.proposals.count))
        with run.progress.count(f"{which} images", len(names)) as advance:
            advance(len(names) - len(missing))
            for _ in parallel_map(_propose_one, tasks, jobs=run.jobs):
                advance(1)


def _propose_one(task: _Propose) -> None:
    found = [proposer.propose(task.image, model) for proposer, model in task.models]
    ProposalStore(task.store).write(task.name, pool(*found, count=task.most))


def load_proposer(run: Run) -> Callable[[np.ndarray], list[Proposal]]:
    """A function from an image (H, W, 3) to its proposals, made as this run made those of val."""
    functions = [proposer.load(run) for proposer in proposers_of(run.settings)]
    count = run.settings.proposals.count
    return lambda image: pool(*(function(image) for function in functions), count=count)
