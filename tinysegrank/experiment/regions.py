"""The SLIC superpixels of every image: what labels are painted on, and the nodes of the CRF."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank import superpixels
from tinysegrank.experiment import data
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import atomic_write
from tinysegrank.parallel import parallel_map

FOLDER = "regions"


class ImageTask(NamedTuple):
    """One image of a split, for a worker process."""

    settings: Settings
    which: str
    number: int
    regions: Path


def image_tasks(run: Run, which: str, indices: list[int]) -> list[ImageTask]:
    """The tasks of some images of a split."""
    return [ImageTask(run.settings, which, i, run.folder(FOLDER) / which) for i in indices]


def compute_superpixels(run: Run) -> None:
    """Write the SLIC superpixels of every image: FOLDER/SPLIT/NAME.npz."""
    for which in ("train", "val"):
        names, folder = data.names(run, which), run.folder(FOLDER) / which
        missing = [i for i, name in enumerate(names) if not (folder / f"{name}.npz").is_file()]
        with run.progress.count(f"{which} images", len(names)) as advance:
            advance(len(names) - len(missing))
            for _ in parallel_map(_superpixels_of, image_tasks(run, which, missing), jobs=run.jobs):
                advance(1)


def superpixels_of(image: np.ndarray, settings: Settings) -> np.ndarray:
    """The superpixels (H, W) of any image under the run's settings."""
    return superpixels.slic(image, **asdict(settings.superpixels))


def _superpixels_of(task: ImageTask) -> None:
    split = data.split_in_worker(task.settings, task.which)
    regions = superpixels_of(split.image(task.number), task.settings)
    with atomic_write(task.regions / f"{split.names[task.number]}.npz") as stream:
        np.savez_compressed(stream, superpixels=regions.astype(np.uint16))


def read_superpixels(folder: Path, name: str) -> np.ndarray:
    """The superpixels of one image, (H, W) int32."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return np.asarray(arrays["superpixels"], np.int32)
