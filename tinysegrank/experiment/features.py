"""The trunk of the run, loaded or pre-trained, and conv5's features of every image (and crop), computed once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment import data
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import read_json, write_json
from tinysegrank.parallel import one_blas_thread, parallel_map
from tinysegrank.segnet import (
    CropStore,
    FeatureStore,
    SegNet,
    chunk_arrays,
    crop_arrays,
    load_segnet,
    pretrain_trunk,
    save_segnet,
)

NETWORK = "segnet.safetensors"
CROPS = "crops"
_SCALE = "scale.json"


def make_trunk(run: Run) -> None:
    """Load or pre-train conv1 to conv5."""
    settings = run.settings
    model = SegNet(preset=settings.trunk.preset, rng=np.random.default_rng([settings.seed, 0]))
    if settings.trunk.weights:
        model.load_caffemodel(settings.trunk.weights)
    else:
        from tinysegrank.voc import toy_classification

        trunk = settings.trunk
        run.progress.say(f"drawing {trunk.pretrain_images} toy images of single objects")
        images, classes = toy_classification(
            trunk.pretrain_images, seed=settings.seed, size=model.preset.preprocessing.size
        )
        with run.progress.count("pre-training steps", trunk.pretrain_steps) as advance:
            accuracy = one_blas_thread(
                lambda: pretrain_trunk(
                    model,
                    images,
                    classes,
                    steps=trunk.pretrain_steps,
                    rate=trunk.pretrain_rate,
                    seed=settings.seed,
                    progress=lambda step, loss: advance(1),  # noqa: ARG005
                )
            )
        run.progress.say(f"the pre-trained trunk classifies {accuracy:.0%} of its last training images")
        write_json(run.folder("trunk") / "pretraining.json", {"training_accuracy": accuracy})
    save_segnet(run.folder("trunk") / NETWORK, model)


def store(run: Run, which: str) -> FeatureStore:
    """The features of a split, mirror images included: trainings learn from them, coarse maps may be averaged."""
    folder = run.folder("features") / which
    chunk = run.settings.trunk.chunk
    return FeatureStore(folder, images=len(data.names(run, which)), mirrors=True, chunk=chunk)


def crop_store(run: Run, which: str) -> CropStore | None:
    """The features of the corner crops of a split; None where the run's coarse maps are not to have any."""
    coarse, folder = run.settings.coarse, run.folder(CROPS) / which
    if not coarse.crops:
        return None
    images, chunk = len(data.names(run, which)), run.settings.trunk.chunk
    return CropStore(folder, images=images, share=coarse.crops, mirrors=coarse.mirrored, chunk=chunk)


class _Chunk(NamedTuple):
    settings: Settings
    which: str
    store: FeatureStore
    number: int
    network: Path
    key: str


def compute_features(run: Run) -> None:
    """Evaluate conv1 to conv5 once on every image and mirror image, chunk by chunk."""
    for which in ("train", "val"):
        _compute_missing(run, which, store(run, which))
    write_json(run.folder("features") / _SCALE, {"feature_scale": _feature_scale(run)})


def compute_crops(run: Run) -> None:
    """Evaluate conv1 to conv5 once on the corner crops of every image, chunk by chunk, if the settings ask for them."""
    for which in ("train", "val"):
        if (target := crop_store(run, which)) is not None:
            _compute_missing(run, which, target)


def _compute_missing(run: Run, which: str, target: FeatureStore) -> None:
    network, key = run.folder("trunk") / NETWORK, run.key("trunk")
    missing = [i for i in range(target.chunks) if not target.has(i)]
    tasks = [_Chunk(run.settings, which, target, i, network, key) for i in missing]
    with run.progress.count(f"{which} images", target.images) as advance:
        advance(target.images - sum(len(target.members(i)) for i in missing))
        for number in parallel_map(_compute_chunk, tasks, jobs=run.jobs):
            advance(len(target.members(number)))


def _compute_chunk(task: _Chunk) -> int:
    split, target = data.split_in_worker(task.settings, task.which), task.store
    network, members = network_in_worker(task.network, task.key), target.members(task.number)
    if isinstance(target, CropStore):
        images = [split.image(i) for i in members]
        arrays = crop_arrays(network, images, target.share, mirrors=target.mirrors)
    else:
        samples = [split[i] for i in members]
        images, labels = [sample.image for sample in samples], [sample.labels for sample in samples]
        arrays = chunk_arrays(network, images, labels, mirrors=target.mirrors)
    target.write(task.number, arrays)
    return task.number


def _feature_scale(run: Run) -> float:
    """One over the root mean square of the training images' features, or the number that was set."""
    if run.settings.training.feature_scale:
        return run.settings.training.feature_scale
    features, total = store(run, "train"), 0.0
    for start in range(0, features.rows, 256):
        part = features.gather("features", np.arange(start, min(start + 256, features.rows)))
        total += float(np.mean(np.square(part, dtype=np.float32), dtype=np.float64)) * len(part)
    return float(1 / np.sqrt(total / features.rows))


def read_scale(run: Run) -> float:
    """What `compute_features` found: one over the root mean square of the training images' features."""
    return float(read_json(run.folder("features") / _SCALE)["feature_scale"])


@lru_cache(maxsize=2)
def network_in_worker(path: Path, key: str) -> SegNet:  # noqa: ARG001  # the key tells files of one name apart
    """`load_segnet`, once in each process for each state of the file."""
    return load_segnet(path)
