"""Full-size label maps straight from the coarse ones: naive (Eq. 16) and by superpixels, for each network."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank import upsampling
from tinysegrank.experiment import data, networks, regions
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import LOSSES, Settings
from tinysegrank.parallel import parallel_map
from tinysegrank.voc import write_labels

FOLDER = "upsampled"


class _Task(NamedTuple):
    settings: Settings
    folder: Path
    regions: Path
    number: int
    coarse: dict[str, np.ndarray]  # of this image, by loss


def upsample(run: Run) -> None:
    """Write FOLDER/naive-LOSS/NAME.png and FOLDER/superpixel-LOSS/NAME.png for the images of val."""
    losses = (networks.START, *LOSSES)
    coarse = {loss: networks.read_coarse(run, f"val-{loss}") for loss in losses}
    names, folder = data.names(run, "val"), run.folder(FOLDER)
    last = folder / f"superpixel-{losses[-1]}"
    missing = [i for i, name in enumerate(names) if not (last / f"{name}.png").is_file()]
    superpixels = run.folder(regions.FOLDER) / "val"
    tasks = [
        _Task(run.settings, folder, superpixels, i, {loss: np.array(coarse[loss][i]) for loss in losses})
        for i in missing
    ]
    with run.progress.count("images", len(names)) as advance:
        advance(len(names) - len(missing))
        for _ in parallel_map(_upsample_one, tasks, jobs=run.jobs):
            advance(1)


def _upsample_one(task: _Task) -> None:
    split = data.split_in_worker(task.settings, "val")
    name = split.names[task.number]
    painted = regions.read_superpixels(task.regions, name)
    for loss, coarse in task.coarse.items():
        write_labels(task.folder / f"naive-{loss}" / f"{name}.png", upsampling.naive(coarse, painted.shape))
        write_labels(task.folder / f"superpixel-{loss}" / f"{name}.png", upsampling.superpixel(coarse, painted))
