"""Module 1 of the run: the proposals of every image."""

from __future__ import annotations

from pathlib import Path

from tinysegrank.experiment.images import IMAGES, ImageOfRun
from tinysegrank.experiment.photograph import Photograph, PhotographOfRun
from tinysegrank.experiment.proposers import proposers_of
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.tasks import do_missing_images
from tinysegrank.proposals import Proposal, ProposalStore, interleave


def store(run: Run, which: str) -> ProposalStore:
    """Return the store of a split's proposals."""
    return ProposalStore(run.folder(STAGE.name) / which, run.settings.classes)


def listing(settings: Settings) -> dict[str, list[int]]:
    """Return the size and time of each file of proposals made elsewhere, by path; {} if the run makes its own."""
    if settings.proposals.engine != "folder":
        return {}
    files = sorted(path for path in Path(settings.proposals.folder).rglob("*") if path.suffix in (".png", ".json"))
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


def make(run: Run) -> None:
    """Write the proposals of every image; a training image's come from the models fitted without its fold."""
    do_missing_images(run, _write, STAGE.name, "")  # a folder for each image, which appears once it is complete


def _write(image: ImageOfRun) -> None:
    store(image.run, image.which).write(image.name, propose(PhotographOfRun(image), image.fold))


def propose(photograph: Photograph, fold: int = -1) -> list[Proposal]:
    """Interleave a photograph's proposals by all of the run's proposers, from models without `fold` (-1: on all)."""
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
