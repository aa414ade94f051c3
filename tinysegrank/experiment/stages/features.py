"""conv5's features of every image and its mirror image, computed once."""

from __future__ import annotations

from typing import NamedTuple

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
    """Return the features of a split, including mirror images, with soft targets for training images."""
    folder, chunk = run.folder(STAGE.name) / which, run.settings.trunk.chunk
    return FeatureStore(folder, images=len(names(run, which)), mirrors=True, chunk=chunk, targets=which == "train")


class _Chunk(NamedTuple):
    run: Run
    which: str
    store: FeatureStore
    number: int


def make(run: Run) -> None:
    """Evaluate conv1 to conv5 on every image and mirror image, chunk by chunk; measure the features' scale."""
    for which in SPLITS:
        target = store(run, which)
        do_missing(
            run,
            f"{which} images",
            _compute,
            [_Chunk(run, which, target, number) for number in range(target.chunks)],
            lambda task: task.store.files(task.number),
            units=lambda task: len(task.store.members(task.number)),
        )
    write_json(run.folder(STAGE.name) / _SCALE, {"feature_scale": _scale(run)})


def _compute(task: _Chunk) -> None:
    target, network = task.store, load_once(load_segnet, network_path(task.run))
    members = images_of(task.run, task.which, target.members(task.number))
    labels = [member.labels() for member in members] if target.targets else None
    num_classes = len(task.run.settings.classes)
    arrays = chunk_arrays(
        network, [member.image() for member in members], labels, mirrors=target.mirrors, num_classes=num_classes
    )
    target.write(task.number, arrays)


def _scale(run: Run) -> float:
    """Return the scale in the settings, or if it is 0, one over the root mean square of the training features."""
    if run.settings.training.feature_scale:
        return run.settings.training.feature_scale
    features, total = store(run, "train"), 0.0
    for start in range(0, features.rows, 256):
        part = features.gather("features", np.arange(start, min(start + 256, features.rows)))
        total += float(np.mean(np.square(part, dtype=np.float32), dtype=np.float64)) * len(part)
    return float(1 / np.sqrt(total / features.rows))


def read_scale(run: Run) -> float:
    """Return the scale that trainings multiply features by."""
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
