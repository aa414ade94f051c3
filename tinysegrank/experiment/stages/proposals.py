"""Module 1 of the run: the proposals of every image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tinysegrank.experiment.images import IMAGES, SPLITS, ImageOfRun, folds, images_of
from tinysegrank.experiment.proposers import Proposer, proposers_of
from tinysegrank.experiment.proposers.protocol import Model, model_of
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps
from tinysegrank.experiment.tasks import do_missing
from tinysegrank.proposals import Proposal, ProposalStore, interleave


def store(run: Run, which: str) -> ProposalStore:
    """Return the proposals of a split."""
    return ProposalStore(run.folder(STAGE.name) / which, run.settings.classes)


def listing(settings: Settings) -> dict[str, list[int]]:
    """Return size and time of each file of proposals made elsewhere, by path; {} if the run makes its own."""
    if settings.proposals.engine != "folder":
        return {}
    files = sorted(path for path in Path(settings.proposals.folder).rglob("*") if path.suffix in (".png", ".json"))
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


class _Propose(NamedTuple):
    image: ImageOfRun
    models: tuple[tuple[Proposer, Model], ...]


def make(run: Run) -> None:
    """Write the proposals of every image; a training image's come from the models fitted without its fold."""
    proposers, fold_of = proposers_of(run.settings), folds(run)
    for which in SPLITS:
        tasks = []
        for image in images_of(run, which):
            fold = int(fold_of[image.number]) if which == "train" else -1
            tasks.append(_Propose(image, tuple((one, model_of(run, one.name, fold)) for one in proposers)))
        do_missing(run, f"{which} images", _propose, tasks, _folders)


def _folders(task: _Propose) -> list[Path]:
    """Return the folder of an image's proposals, which appears once it is complete."""
    return [store(task.image.run, task.image.which).folder(task.image.name)]


def _propose(task: _Propose) -> None:
    image, count = task.image, task.image.run.settings.proposals.count
    found = interleave(*(proposer.propose(image, model) for proposer, model in task.models), count=count)
    store(image.run, image.which).write(image.name, found)


def load_proposer(run: Run) -> Callable[[maps.Photograph], list[Proposal]]:
    """Return a function that takes any photograph, and proposes as the run did for val."""
    functions, count = [proposer.load(run) for proposer in proposers_of(run.settings)], run.settings.proposals.count
    if maps.used(run.settings):
        maps.load_maps(run)  # before the first photograph
    return lambda photograph: interleave(*(function(photograph) for function in functions), count=count)


STAGE = Stage(
    "proposals",
    make,
    (*IMAGES, "superpixels", "maps", "segments", "pooled", "proposing"),
    lambda s: s.proposals,
    listing,
    whole_folders=True,
)
