"""Score a folder of label PNGs, made by any program, against the truth of a split."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank.errors import DatasetError
from tinysegrank.inputs import check_label_maps, names_in
from tinysegrank.metrics import Confusion, image_confusions
from tinysegrank.parallel import parallel_map
from tinysegrank.voc import Classes, VOCSegmentation, check_labels
from tinysegrank.voc.census import Census
from tinysegrank.voc.masks import Mask, read_mask


def evaluate_folder(
    folder: Path, split: VOCSegmentation, *, jobs: int = 1, advance: Callable[[int], None] | None = None
) -> Confusion:
    """Count pixels by true class and by label in FOLDER/NAME.png, over all images of a split.

    Files of images that are not in the split are ignored. `advance` is called with 1 for each image.

    Raises:
        DatasetError: the folder, a file or the truth is missing; a file is damaged, differs in size from its image, or
            holds a label that is not a class; the palette of the truth or of the labels contradicts the classes'
            colours; or no mask of the truth has an object.
    """
    there = names_in(check_label_maps(folder))
    missing = [name for name in split.names if f"{name}.png" not in there]
    if missing:
        raise DatasetError(
            f"{folder}: lacks {len(missing)} of the {len(split)} label maps of split {split.split!r}, "
            f"such as {missing[0]}.png; VOC scores a whole split"
        )
    place, classes = folder.absolute(), split.classes
    files = [(split.labels_path(i).absolute(), place / f"{name}.png") for i, name in enumerate(split.names)]
    total, truth, labels = Confusion(len(classes)), Census(classes), Census(classes)
    compared = parallel_map(partial(_compare, classes), files, jobs=jobs, advance=advance)
    for (truth_path, labels_path), (matrix, true, labelled) in zip(files, compared, strict=True):
        total.matrix += matrix
        truth.add(truth_path, true)
        labels.add(labels_path, labelled)
    truth.refuse_other_palette()
    truth.refuse_no_object(f"split {split.split!r}")
    labels.refuse_other_palette()
    return total


def _compare(classes: Classes, files: tuple[Path, Path]) -> tuple[np.ndarray, Mask, Mask]:
    """Compare an image's files (truth, labels): return the confusion matrix (K, K), and both masks without labels."""
    truth, labels = (read_mask(path, classes) for path in files)
    (height, width), (rows, columns) = truth.labels.shape, labels.labels.shape
    if (height, width) != (rows, columns):
        raise DatasetError(
            f"{files[1]}: is {columns} x {rows}, its image {width} x {height}; write labels at the size of their image"
        )
    checked = check_labels(labels.labels, num_classes=len(classes), void=None, name=files[1])
    matrix = image_confusions(truth.labels, checked[None], num_classes=len(classes))[0]
    return matrix, truth.without_labels(), labels.without_labels()
