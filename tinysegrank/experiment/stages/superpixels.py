"""The SLIC superpixels of every image: what labels are painted on, and the nodes of the CRF."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from tinysegrank import superpixels
from tinysegrank.experiment.images import IMAGES, SPLITS, ImageOfRun, images_of
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.tasks import do_missing
from tinysegrank.files import read_compressed, write_compressed


def make(run: Run) -> None:
    """Write the superpixels of every image to SPLIT/NAME.npz."""
    for which in SPLITS:
        do_missing(run, f"{which} images", _write, images_of(run, which), lambda image: [_path(image)])


def superpixels_of(image: np.ndarray, settings: Settings) -> np.ndarray:
    """Compute the superpixels (H, W) of any image under the run's settings."""
    return superpixels.slic(image, **asdict(settings.superpixels))


def _write(image: ImageOfRun) -> None:
    found = superpixels_of(image.image(), image.run.settings)
    write_compressed(_path(image), superpixels=found.astype(np.uint16))


def read_superpixels(image: ImageOfRun) -> np.ndarray:
    """Read the superpixels of one image of the run, (H, W) int32."""
    with read_compressed(_path(image)) as arrays:
        return np.asarray(arrays["superpixels"], np.int32)


def _path(image: ImageOfRun) -> Path:
    return image.run.folder(STAGE.name) / image.which / f"{image.name}.npz"


STAGE = Stage("superpixels", make, IMAGES, lambda s: s.superpixels)
