"""Full-size label maps from the coarse maps of each network: naive (Eq. 16) and by superpixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tinysegrank import upsampling
from tinysegrank.experiment.images import IMAGES, ImageOfRun, images_of
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.stages.coarse import NETWORKS, read_coarse
from tinysegrank.experiment.stages.superpixels import read_superpixels
from tinysegrank.experiment.tasks import do_missing
from tinysegrank.voc import write_labels

SYSTEMS = tuple(f"{kind}-{loss}" for kind in ("naive", "superpixel") for loss in NETWORKS)
"""The ways of labelling, which are also the names of their folders."""


def make(run: Run) -> None:
    """Write the label maps naive-LOSS/NAME.png and superpixel-LOSS/NAME.png of every image of val."""
    do_missing(run, "images", _upsample, images_of(run, "val"), _paths)


def _paths(image: ImageOfRun) -> Iterator[Path]:
    return (image.run.folder(STAGE.name) / system / f"{image.name}.png" for system in SYSTEMS)


def _upsample(image: ImageOfRun) -> None:
    superpixels = read_superpixels(image)
    for path in _paths(image):
        kind, loss = path.parent.name.split("-", 1)
        coarse = read_coarse(image.run, f"val-{loss}")[image.number]
        naive = kind == "naive"
        labels = upsampling.naive(coarse, superpixels.shape) if naive else upsampling.superpixel(coarse, superpixels)
        write_labels(path, labels, image.run.settings.classes)


STAGE = Stage("upsampled", make, (IMAGES[1], "superpixels/val", "coarse"))
