"""Module 1 of the run: the proposals of every image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank import upsampling
from tinysegrank.experiment.images import IMAGES, SPLITS, ImageOfRun, folds, images_of
from tinysegrank.experiment.proposers import Proposer, proposers_of
from tinysegrank.experiment.proposers.protocol import Model, model_of
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps
from tinysegrank.experiment.stages.coarse import read_ranked
from tinysegrank.experiment.stages.superpixels import read_superpixels
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
    image, asked = task.image, task.image.run.settings.proposals
    found = interleave(*(proposer.propose(image, model) for proposer, model in task.models), count=asked.count)
    if asked.segnet:
        found.append(labelling_of(read_ranked(image), read_superpixels(image)))
    store(image.run, image.which).write(image.name, found)


def labelling_of(coarse: np.ndarray, superpixels: np.ndarray) -> Proposal:
    """Label each superpixel by SegNet's coarse map and return the result as a proposal; its score is NaN.

    coarse      | (h, w, K) | floating |
    superpixels | (H, W)    | integer  |
    """
    return Proposal(upsampling.superpixel(coarse, superpixels), float("nan"), np.zeros(0, np.int64))


def load_proposer(run: Run) -> Callable[[maps.Photograph, np.ndarray], list[Proposal]]:
    """Return a function that takes any photograph and its coarse map, and proposes as the run did for val."""
    functions, options = [proposer.load(run) for proposer in proposers_of(run.settings)], run.settings.proposals
    if maps.used(run.settings):
        maps.load_maps(run)  # before the first photograph

    def propose(photograph: maps.Photograph, coarse: np.ndarray) -> list[Proposal]:
        found = interleave(*(function(photograph) for function in functions), count=options.count)
        if options.segnet:
            found.append(labelling_of(coarse, photograph.superpixels))
        return found

    return propose


STAGE = Stage(
    "proposals",
    make,
    (*IMAGES, "superpixels", "maps", "segments", "pooled", "proposing"),
    lambda s: s.proposals,
    listing,
    also=lambda s: ("coarse",) if s.proposals.segnet else (),
    whole_folders=True,
)
