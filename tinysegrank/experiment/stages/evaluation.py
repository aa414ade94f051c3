"""The confusion matrices of every system on val, image by image."""

from __future__ import annotations

import numpy as np

from tinysegrank.experiment.images import IMAGES, ImageOfRun, images_of
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import picked, upsampled
from tinysegrank.experiment.stages.described import load_described
from tinysegrank.experiment.tasks import map_tasks
from tinysegrank.files import read_compressed, write_compressed
from tinysegrank.metrics import Confusion, image_confusions
from tinysegrank.voc import read_labels

SYSTEMS = tuple(f"{stage.STAGE.name}/{system}" for stage in (upsampled, picked) for system in stage.SYSTEMS)
"""The folders in the run of all ways of labelling."""
NAMED = {
    "naive upsampling": "upsampled/naive-{loss}",
    "superpixel upsampling": "upsampled/superpixel-{loss}",
    "SegNet-CE": "picked/segnet-ce",
    "SegNet-UOI": "picked/segnet-uoi",
    "SegNet-UOI-CE": "picked/segnet-uoi+ce",
    "Eq. 17": "picked/segnet-{loss}",
    "SegNet+SVM": "picked/svm",
    "1-best": "picked/1-best",
    "oracle": "picked/oracle",
}
"""Folders of systems by their names in tables and figures; `loss` is that of the network that ranks."""
_FILE = "confusions.npz"


def make(run: Run) -> None:
    """Write the confusion matrices (N, K, K) of every system, one per image of val.

    Upsampled label maps are compared with the truth, which is decoded once for all systems. The matrices of picked
    proposals are those of the stage `described`.
    """
    names = [f"{upsampled.STAGE.name}/{system}" for system in upsampled.SYSTEMS]
    images = images_of(run, "val")
    of_images = np.stack(list(map_tasks(run, "images", _confusions_of_upsampled, images)))  # (N, systems, K, K)
    counts = {name: of_images[:, i] for i, name in enumerate(names)}
    table, confusions, _ = load_described(run, "val")
    for system in picked.SYSTEMS:
        counts[f"{picked.STAGE.name}/{system}"] = confusions[picked.picked_rows(run, table, system)]
    write_compressed(run.folder(STAGE.name) / _FILE, **counts)


def _confusions_of_upsampled(image: ImageOfRun) -> np.ndarray:
    folder, classes = image.run.folder(upsampled.STAGE.name), image.run.settings.classes
    maps = np.stack([read_labels(folder / system / f"{image.name}.png", classes) for system in upsampled.SYSTEMS])
    return image_confusions(image.labels(), maps, num_classes=len(classes)).astype(np.int32)  # (systems, K, K)


def folder_of(settings: Settings, name: str) -> str:
    """Return the folder, one of SYSTEMS, of a system by its name in NAMED."""
    return NAMED[name].format(loss=settings.ranking.loss)


def read_confusions(run: Run, system: str) -> np.ndarray:
    """Read the confusion matrices of one of SYSTEMS, (N, K, K) int64 pixels, row: true class; one per image of val."""
    with read_compressed(run.folder(STAGE.name) / _FILE) as arrays:
        return arrays[system].astype(np.int64)


def read_counts(run: Run) -> dict[str, Confusion]:
    """Read the confusion matrix of each of SYSTEMS, summed over val."""
    return {name: Confusion.of(read_confusions(run, name)) for name in SYSTEMS}


STAGE = Stage("evaluation", make, (IMAGES[1], "described", "upsampled", "picked"))
