"""Scoring a folder of label PNGs, ours or anyone's, against a split's truth."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tinysegrank.errors import DatasetError
from tinysegrank.metrics import Confusion
from tinysegrank.parallel import parallel_map
from tinysegrank.voc import VOCSegmentation, read_labels

_AT_ONCE = 32


class _Task(NamedTuple):
    pairs: tuple[tuple[Path, Path], ...]  # truth, labels


def evaluate_folder(folder: Path, split: VOCSegmentation, *, jobs: int = 1) -> Confusion:
    """Add up the confusion of FOLDER/NAME.png with the truth over all images of a split.

    Files of images that are not in the split are passed over.

    Raises:
        DatasetError: a file is missing, unreadable, has another size than the truth, or holds a label that is no class.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: is no folder; give the one that holds a label PNG for each image of the split")
    missing = [name for name in split.names if not (folder / f"{name}.png").is_file()]
    if missing:
        raise DatasetError(
            f"{folder}: lacks {len(missing)} of the {len(split)} label maps of split {split.split!r}, "
            f"such as {missing[0]}.png; VOC scores a whole split"
        )
    place = folder.absolute()
    pairs = [(split.labels_path(i).absolute(), place / f"{name}.png") for i, name in enumerate(split.names)]
    tasks = [_Task(tuple(pairs[i : i + _AT_ONCE])) for i in range(0, len(pairs), _AT_ONCE)]
    total = Confusion()
    for part in parallel_map(_evaluate_some, tasks, jobs=jobs):
        total.merge(part)
    return total


def _evaluate_some(task: _Task) -> Confusion:
    confusion = Confusion()
    for truth_path, labels_path in task.pairs:
        truth, labels = read_labels(truth_path), read_labels(labels_path)
        if truth.shape != labels.shape:
            raise DatasetError(
                f"{labels_path}: is {labels.shape[1]} x {labels.shape[0]}, its image "
                f"{truth.shape[1]} x {truth.shape[0]}; write labels at the size of their image"
            )
        try:
            confusion.update(truth, labels)
        except DatasetError as error:
            raise DatasetError(f"{labels_path}: {error}") from error
    return confusion
