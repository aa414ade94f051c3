"""The images of a run: its splits, its folds, and single images as worker processes see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import DataSettings, Settings
from tinysegrank.files import read_json, reading
from tinysegrank.voc import VOCSegmentation, assign_folds
from tinysegrank.voc.masks import MASK_ENDINGS, MASKS
from tinysegrank.voc.split import files_by_stem, split_file

SPLITS = ("train", "val")
IMAGES = ("data/train.json", "data/val.json")
"""The files of the run that name its images and hold fingerprints of them and of their masks, one per split."""
OBJECTS, WEIGHTS = "data/objects.json", "data/weights.json"
"""Fingerprints of the training images' object masks, and of the weight file."""


def open_split(settings: Settings, which: str) -> VOCSegmentation:
    """Open the run's "train" or "val" split; val without masks if none of its images has one, as in VOC's test.

    Raises:
        DatasetError: the data set's folder or the split is missing or incomplete.
    """
    data = settings.data
    place, limit, classes = (data.voc, getattr(data, which)), data.limit or None, settings.classes
    split = VOCSegmentation(*place, limit=limit, masks=None, classes=classes)
    if which == "val" and not files_by_stem(split.root / MASKS, MASK_ENDINGS).keys() & set(split.names):
        return split
    return VOCSegmentation(*place, limit=limit, classes=classes)


def names(run: Run, which: str) -> tuple[str, ...]:
    """Read the image names of a split, in order, from the stage `data`."""
    return _names(run.path_of(IMAGES[SPLITS.index(which)]))


def _names(path: Path) -> tuple[str, ...]:
    with reading(path):
        return tuple(map(str, read_json(path)["names"]))


def folds(run: Run) -> np.ndarray:
    """Return the fold of each training image, (N,) int64 from 0."""
    return load_once(_folds, run.path_of(IMAGES[0]), run.settings.folds, run.fold_seed)


def _folds(path: Path, count: int, seed: int) -> np.ndarray:
    return assign_folds(_names(path), count, seed=seed)


def model_path(folder: Path, fold: int) -> Path:
    """Return the file in `folder` of the model fitted without one fold of the training images (-1: on all of them)."""
    return folder / ("all.safetensors" if fold < 0 else f"without-fold-{fold}.safetensors")


@dataclass(frozen=True)
class ImageOfRun:
    """One image of a split of a run; its data is read from disk when asked for.

    Attributes:
        which: "train" or "val".
        number: the image's index in the split.
    """

    run: Run
    which: str
    number: int

    @property
    def split(self) -> VOCSegmentation:
        """The image's split, opened once in each process until the split file changes."""
        data = self.run.settings.data
        return load_once(_open, split_file(data.voc, getattr(data, self.which)), data, self.which)

    @property
    def name(self) -> str:
        """The image's name, as in the split file."""
        return self.split.names[self.number]

    @property
    def fold(self) -> int:
        """The fold of a training image; -1 for an image of val, as for models fitted on all training images."""
        return int(folds(self.run)[self.number]) if self.which == "train" else -1

    def file(self, stage: str, ending: str) -> Path:
        """Return the path of a stage's file for the image: STAGE/SPLIT/NAME and the ending."""
        return self.run.folder(stage) / self.which / f"{self.name}{ending}"

    def image(self) -> np.ndarray:
        """Read the photograph, (H, W, 3) uint8."""
        return self.split.image(self.number)

    def labels(self) -> np.ndarray:
        """Read the label map, (H, W) uint8, 0..K-1 or 255 where void."""
        return self.split.labels(self.number)


def _open(file: Path, data: DataSettings, which: str) -> VOCSegmentation:  # noqa: ARG001
    return open_split(replace(Settings(), data=data), which)


def images_of(run: Run, which: str, numbers: Iterable[int] | None = None) -> list[ImageOfRun]:
    """Return the images of a split with the given indices, in this order; all of them by default."""
    return [ImageOfRun(run, which, int(i)) for i in (range(len(names(run, which))) if numbers is None else numbers)]
