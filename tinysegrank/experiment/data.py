"""The data of a run: which images, checked once before any long work."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tinysegrank.errors import ConfigError, WeightsError
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import read_json, write_json
from tinysegrank.segnet import SegNet
from tinysegrank.voc import VOCSegmentation, assign_folds
from tinysegrank.voc.split import split_file

CHECKED = "data.json"


def open_split(settings: Settings, which: str) -> VOCSegmentation:
    """Open the run's "train" or "val" split.

    Raises:
        DatasetError: the root or the split is missing or not whole.
    """
    data = settings.data
    return VOCSegmentation(Path(data.voc), getattr(data, which), limit=data.limit or None)


def split_in_worker(settings: Settings, which: str) -> VOCSegmentation:
    """`open_split`, once in each process for each state of the split file: a cluster's workers outlive a run."""
    file = split_file(settings.data.voc, getattr(settings.data, which))
    return _open_once(settings, which, file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(maxsize=4)
def _open_once(settings: Settings, which: str, changed: int) -> VOCSegmentation:  # noqa: ARG001
    return open_split(settings, which)


def check_settings(settings: Settings) -> None:
    """Refuse what cannot work, before a run folder is made.

    Raises:
        DatasetError, WeightsError, ConfigError: naming the file or setting.
    """
    train, val = open_split(settings, "train"), open_split(settings, "val")
    if both := sorted(set(train.names) & set(val.names)):
        raise ConfigError(
            f"{len(both)} images are both in {settings.data.train} and {settings.data.val}, such as {both[0]}; "
            f"a validation image must not be trained on"
        )
    trunk = settings.trunk
    if trunk.weights:
        SegNet(preset=trunk.preset).load_caffemodel(trunk.weights)
    elif not trunk.pretrain_steps:
        raise WeightsError(
            f'the preset "{trunk.preset}" needs --weights FILE, a .caffemodel; or set trunk.pretrain_steps to train it'
        )
    for name, parts in (("folds", settings.folds), ("ranking.splits", settings.ranking.splits)):
        if parts > len(train):
            raise ConfigError(f"{name}={parts}: there are {len(train)} training images; give at most as many")


def listing(settings: Settings) -> dict[str, Any]:
    """Names, sizes and times of every input file: cheap to make, and different when one was exchanged."""
    files = []
    for which in ("train", "val"):
        split = open_split(settings, which)
        files += [path for i in range(len(split)) for path in (split.image_path(i), split.labels_path(i))]
    if settings.trunk.weights:
        files.append(Path(settings.trunk.weights))
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


def check_data(run: Run) -> str:
    """Decode every file of both splits; the result is a fingerprint of their content."""
    record: dict[str, Any] = {}
    for which in ("train", "val"):
        split = open_split(run.settings, which)
        checked = split.check(jobs=run.jobs)
        run.progress.say(f"{which}: {len(split)} images of {split.root.name}/{split.split}; {checked.census}")
        record[which] = {"names": list(split.names), "fingerprint": checked.fingerprint}
    if run.settings.trunk.weights:
        record["weights"] = _sha256(Path(run.settings.trunk.weights))
    write_json(run.folder("data") / CHECKED, record)
    return _sha256(run.folder("data") / CHECKED)


def names(run: Run, which: str) -> tuple[str, ...]:
    """The image names of a split, in order."""
    return tuple(read_json(run.folder("data") / CHECKED)[which]["names"])


def folds(run: Run) -> np.ndarray:
    """The fold of each training image, (n,) int."""
    return assign_folds(names(run, "train"), run.settings.folds, seed=run.fold_seed)


def model_path(folder: Path, fold: int) -> Path:
    """The file of a model that one fold of the training images did not reach (-1: it was fitted on all of them)."""
    return folder / ("all.safetensors" if fold < 0 else f"without-fold-{fold}.safetensors")


def _sha256(path: Path) -> str:
    from hashlib import sha256

    return sha256(path.read_bytes()).hexdigest()
