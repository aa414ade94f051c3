"""Module 1 of the run: the proposers' models, and the proposals of every image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank import upsampling
from tinysegrank.experiment import data, networks, regions
from tinysegrank.experiment.proposers import Proposer, proposers_of
from tinysegrank.experiment.proposers.protocol import Model, model_of
from tinysegrank.experiment.regions import ImageTask, image_tasks
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import Proposal, ProposalStore, interleave


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
    coarse: np.ndarray | None


def propose_all(run: Run) -> None:
    """Write the proposals of every image; a training image's come from the models that did not see it."""
    proposers, fold_of = proposers_of(run.settings), data.folds(run)
    for which in ("train", "val"):
        names, target, coarse = data.names(run, which), store(run, which), None
        if run.settings.proposals.segnet:
            coarse = networks.read_coarse(run, networks.ranked_by(run.settings, which))
        missing = [i for i, name in enumerate(names) if name not in target]
        tasks = []
        for image in image_tasks(run, which, missing):
            fold = int(fold_of[image.number]) if which == "train" else -1
            models = tuple((proposer, model_of(run, proposer.name, fold)) for proposer in proposers)
            own = None if coarse is None else np.array(coarse[image.number])
            most = run.settings.proposals.count
            tasks.append(_Propose(image, models, target.root, names[image.number], most, own))
        with run.progress.count(f"{which} images", len(names)) as advance:
            advance(len(names) - len(missing))
            for _ in parallel_map(_propose_one, tasks, jobs=run.jobs):
                advance(1)


def _propose_one(task: _Propose) -> None:
    found = interleave(*(proposer.propose(task.image, model) for proposer, model in task.models), count=task.most)
    if task.coarse is not None:
        found.append(labelling_of(task.coarse, regions.read_superpixels(task.image.regions, task.name)))
    ProposalStore(task.store).write(task.name, found)


def labelling_of(coarse: np.ndarray, superpixels: np.ndarray) -> Proposal:
    """SegNet's own labelling by superpixels as a proposal, without a score of its own.

    coarse      | (h, w, K) | floating |
    superpixels | (H, W)    | integer  |
    """
    return Proposal(upsampling.superpixel(coarse, superpixels), float("nan"), np.zeros(0, np.int64))


def load_proposer(run: Run) -> Callable[[np.ndarray, np.ndarray], list[Proposal]]:
    """A function from an image (H, W, 3) and its coarse map to its proposals, made as this run made those of val."""
    functions, options = [proposer.load(run) for proposer in proposers_of(run.settings)], run.settings.proposals

    def propose(image: np.ndarray, coarse: np.ndarray) -> list[Proposal]:
        found = interleave(*(function(image) for function in functions), count=options.count)
        if options.segnet:
            found.append(labelling_of(coarse, regions.superpixels_of(image, run.settings)))
        return found

    return propose
