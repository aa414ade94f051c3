"""Module 1 of the run: the proposals of every image."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tinysegrank.experiment.images import IMAGES, SPLITS, ImageOfRun, folds, images_of
from tinysegrank.experiment.photograph import Photograph, PhotographOfRun
from tinysegrank.experiment.proposers import proposers_of
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
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
    fold: int  # of the model; -1: fitted on all training images


def make(run: Run) -> None:
    """Write the proposals of every image; a training image's come from the models fitted without its fold."""
    fold_of = folds(run)
    for which in SPLITS:
        tasks = [
            _Propose(image, int(fold_of[image.number]) if which == "train" else -1) for image in images_of(run, which)
        ]
        do_missing(run, f"{which} images", _propose, tasks, _folders)


def _folders(task: _Propose) -> list[Path]:
    """Return the folder of an image's proposals, which appears once it is complete."""
    return [store(task.image.run, task.image.which).folder(task.image.name)]


def _propose(task: _Propose) -> None:
    image = task.image
    store(image.run, image.which).write(image.name, propose(PhotographOfRun(image), task.fold))


def propose(photograph: Photograph, fold: int = -1) -> list[Proposal]:
    """Return the proposals of all of a run's proposers in turn, from the models fitted without a fold (-1: none)."""
    settings = photograph.run.settings
    found = (proposer.propose(photograph, fold) for proposer in proposers_of(settings))
    return interleave(*found, count=settings.proposals.count)


STAGE = Stage(
    "proposals",
    make,
    (*IMAGES, "superpixels", "maps", "segments", "pooled", "proposing"),
    lambda s: s.proposals,
    listing,
    whole_folders=True,
)
