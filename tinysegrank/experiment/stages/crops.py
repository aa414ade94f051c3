"""conv5's features of four corner crops of every image, for runs whose coarse maps are averaged over crops."""

from __future__ import annotations

from tinysegrank.experiment.images import IMAGES, SPLITS, names
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.stages.features import fill
from tinysegrank.segnet import CropStore


def store(run: Run, which: str) -> CropStore | None:
    """Return the features of the corner crops of a split; None if the run's coarse maps don't use crops."""
    coarse = run.settings.coarse
    if not coarse.crops:
        return None
    folder, images, chunk = run.folder(STAGE.name) / which, len(names(run, which)), run.settings.trunk.chunk
    return CropStore(folder, images=images, share=coarse.crops, mirrors=coarse.mirrored, chunk=chunk)


def make(run: Run) -> None:
    """Evaluate conv1 to conv5 on the corner crops of every image, chunk by chunk."""
    for which in SPLITS:
        if (target := store(run, which)) is not None:
            fill(run, which, target)


STAGE = Stage(
    "crops",
    make,
    (*IMAGES, "trunk"),
    lambda s: [s.trunk.chunk, s.coarse.crops, s.coarse.mirrored],
    used=lambda s: s.coarse.crops > 0,
    backend=True,
)
