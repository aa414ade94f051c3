"""conv5's features of every image and its mirror image, computed once."""

from __future__ import annotations

from functools import partial

import numpy as np

from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import IMAGES, SPLITS, images_of, names
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.stages.trunk import network_path
from tinysegrank.experiment.tasks import do_missing
from tinysegrank.files import read_json, reading, write_json
from tinysegrank.segnet import FeatureStore, chunk_arrays, load_segnet

_SCALE = "scale.json"


def store(run: Run, which: str) -> FeatureStore:
    """Return the store of a split's features, mirror images included; for train it also has soft targets."""
    folder, chunk = run.folder(STAGE.name) / which, run.settings.trunk.chunk
    return FeatureStore(folder, images=len(names(run, which)), mirrors=True, chunk=chunk, targets=which == "train")


def make(run: Run) -> None:
    """Compute conv5's features of every image and mirror image, chunk by chunk, then their scale."""
    for which in SPLITS:
        _compute_split(run, which)
    write_json(run.folder(STAGE.name) / _SCALE, {"feature_scale": _scale(run)})


def _compute_split(run: Run, which: str) -> None:
    target, compute = store(run, which), partial(_compute, run, which)

    def units(chunk: int) -> int:
        return len(target.members(chunk))

    do_missing(run, f"{which} images", compute, range(target.chunks), target.files, units=units)


def _compute(run: Run, which: str, chunk: int) -> None:
    target, network = store(run, which), load_once(load_segnet, network_path(run))
    members, num_classes = images_of(run, which, target.members(chunk)), len(run.settings.classes)
    labels = [member.labels() for member in members] if target.targets else None
    photographs = [member.image() for member in members]
    target.write(chunk, chunk_arrays(network, photographs, labels, mirrors=target.mirrors, num_classes=num_classes))


def _scale(run: Run) -> float:
    """Return the scale in the settings, or if that is 0, one over the root mean square of the training features."""
    if run.settings.training.feature_scale:
        return run.settings.training.feature_scale
    features, total = store(run, "train"), 0.0
    for start in range(0, features.rows, 256):
        part = features.gather("features", np.arange(start, min(start + 256, features.rows)))
        total += float(np.mean(np.square(part, dtype=np.float32), dtype=np.float64)) * len(part)
    return float(1 / np.sqrt(total / features.rows))


def read_scale(run: Run) -> float:
    """Read the scale that trainings multiply features by."""
    path = run.folder(STAGE.name) / _SCALE
    with reading(path):
        return float(read_json(path)["feature_scale"])


STAGE = Stage(
    "features",
    make,
    (*IMAGES, "trunk"),
    lambda s: [s.trunk.chunk, s.training.feature_scale],
    backend=True,
    batches=("trunk.chunk",),
)
