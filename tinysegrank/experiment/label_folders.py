"""Score a folder of label PNGs, ours or anyone's, against the truth of a split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tinysegrank.errors import DatasetError
from tinysegrank.metrics import Confusion
from tinysegrank.parallel import parallel_map
from tinysegrank.voc import Classes, VOCSegmentation, check_labels
from tinysegrank.voc.census import Census
from tinysegrank.voc.masks import read_mask
from tinysegrank.voc.split import names_in


class _Task(NamedTuple):
    truth: Path
    labels: Path
    classes: Classes


class _Compared(NamedTuple):
    confusion: Confusion
    truth: Census
    labels: Census


def evaluate_folder(
    folder: Path, split: VOCSegmentation, *, jobs: int = 1, advance: Callable[[int], None] | None = None
) -> Confusion:
    """Return the confusion of FOLDER/NAME.png with the truth, summed over all images of a split.

    Files of images that are not in the split are ignored. `advance` is called with 1 for each image.

    Raises:
        DatasetError: a file is missing, unreadable, of another size than the truth, or holds a label that is not a
            class; the palette of the truth or of the labels contradicts the classes' colours; or no mask of the truth
            has an object.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: is not a folder; give the one that holds a label PNG for each image of the split"
        )
    there = names_in(folder)
    missing = [name for name in split.names if f"{name}.png" not in there]
    if missing:
        raise DatasetError(
            f"{folder}: lacks {len(missing)} of the {len(split)} label maps of split {split.split!r}, "
            f"such as {missing[0]}.png; VOC scores a whole split"
        )
    place = folder.absolute()
    classes = split.classes
    tasks = [
        _Task(split.labels_path(i).absolute(), place / f"{name}.png", classes) for i, name in enumerate(split.names)
    ]
    total, truth, labels = Confusion(len(classes)), Census(classes), Census(classes)
    for image in parallel_map(_compare, tasks, jobs=jobs, advance=advance):
        total.merge(image.confusion)
        truth.merge(image.truth)
        labels.merge(image.labels)
    truth.refuse_other_palette()
    truth.refuse_no_object(f"split {split.split!r}")
    labels.refuse_other_palette()
    return total


def _compare(task: _Task) -> _Compared:
    truth, labels = read_mask(task.truth, task.classes), read_mask(task.labels, task.classes)
    (height, width), (rows, columns) = truth.labels.shape, labels.labels.shape
    if (height, width) != (rows, columns):
        raise DatasetError(
            f"{task.labels}: is {columns} x {rows}, its image {width} x {height}; "
            "write labels at the size of their image"
        )
    confusion = Confusion(len(task.classes))
    checked = check_labels(labels.labels, num_classes=len(task.classes), void=None, name=task.labels)
    confusion.update(truth.labels, checked)
    counted = Census(task.classes).add(task.truth, truth), Census(task.classes).add(task.labels, labels)
    return _Compared(confusion, *counted)
