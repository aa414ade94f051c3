"""The SLIC superpixels of every image, on which coarse labels are painted and which are the nodes of the CRF."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from tinysegrank import superpixels
from tinysegrank.experiment.images import IMAGES, ImageOfRun
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.tasks import do_missing_images
from tinysegrank.files import read_compressed, write_compressed


def make(run: Run) -> None:
    """Write the superpixels of every image to SPLIT/NAME.npz."""
    do_missing_images(run, _write, STAGE.name, ".npz")


def superpixels_of(image: np.ndarray, settings: Settings) -> np.ndarray:
    """Compute the superpixel of each pixel of any image, (H, W) integers from 0, under the run's settings."""
    return superpixels.slic(image, **asdict(settings.superpixels))


def _write(image: ImageOfRun) -> None:
    found = superpixels_of(image.image(), image.run.settings)
    write_compressed(image.file(STAGE.name, ".npz"), superpixels=found.astype(np.uint16))


def read_superpixels(image: ImageOfRun) -> np.ndarray:
    """Read the superpixels of one image of the run, (H, W) int32."""
    with read_compressed(image.file(STAGE.name, ".npz")) as arrays:
        return np.asarray(arrays["superpixels"], np.int32)


STAGE = Stage("superpixels", make, IMAGES, lambda s: s.superpixels)
