"""Label maps in the layout of VOC's evaluation server, and the archive to upload.

Source: the devkit's VOCinit.m and the server's instructions: results/VOC2012/Segmentation/comp6_SPLIT_cls/NAME.png for
every image of the split, indexed PNGs of the image's size without void; comp6 is segmentation with any training data.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.experiment import Segmenter
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import picked
from tinysegrank.files import atomic_write
from tinysegrank.outputs import check_results
from tinysegrank.voc import VOC, VOCSegmentation, check_labels, read_image, read_labels, write_labels
from tinysegrank.voc.images import opened
from tinysegrank.voc.split import first_few

SYSTEM = "svm"


def export_voc(run: Run, folder: Path, *, split: str = "", replace: bool = False) -> Path:
    """Write SegNet+SVM's labels of a split in the server's layout, and the archive; return the archive.

    The run's own val images have their labels in the run. The images of another split of its data are labelled here, as
    `predict` does, and so are those of a val split without masks, as VOC's test, in a run with `--until ranker`.

    Args:
        run: a finished run.
        folder: FOLDER/results/VOC2012/... and FOLDER/comp6_SPLIT.tar.gz are written.
        split: name of the split; the run's val by default.
        replace: replace files that an earlier call wrote.

    Raises:
        ConfigError: the run's classes are not VOC's.
        DatasetError: an image of the split has no labels, or labels of another size; a photograph is missing.
        CheckpointError: the run is not finished.
        OutputError: a file cannot be written or already exists.
    """
    if run.settings.classes != VOC:
        raise ConfigError(
            f"{run.path}: its classes ({first_few(run.settings.classes.names[1:])}) are not VOC's, which the server"
            " scores; `tinysegrank predict` writes label maps of photographs"
        )
    split = split or run.settings.data.val
    own = split == run.settings.data.val
    images = VOCSegmentation(run.settings.data.voc, split, masks=None)
    inner = Path("results/VOC2012/Segmentation") / f"comp6_{split}_cls"
    archive, files = folder / f"comp6_{split}.tar.gz", [folder / inner / f"{name}.png" for name in images.names]
    outputs = [*((images.image_path(i), file) for i, file in enumerate(files)), (run.path, archive)]
    check_results(outputs, option="--out", replace=replace)
    labels_of = _stored(run, images) if own and run.stamp(picked.STAGE.name).complete else _labelled(run, images)
    with run.progress.count(f"{split} images", len(images)) as advance:
        for i, file in enumerate(files):
            write_labels(file, labels_of(i))
            advance(1)
    _pack(archive, {f"{inner}/{file.name}": file for file in files})
    return archive


def _stored(run: Run, images: VOCSegmentation) -> Callable[[int], np.ndarray]:
    """Return a function of an image's number that reads the run's labels; all are checked first."""
    run.require([picked.STAGE.name], "an export to VOC")
    folder = run.folder(picked.STAGE.name) / SYSTEM
    paths = [folder / f"{name}.png" for name in images.names]
    if missing := [path.name for path in paths if not path.is_file()]:
        limited = ", as data.limit left them out" if run.settings.data.limit else ""
        raise DatasetError(
            f"{folder}: lacks {len(missing)} of the {len(images)} label maps of {images.split!r}{limited}: "
            f"{first_few(missing)}; the server scores whole splits, so run on all its images"
        )
    for i, path in enumerate(paths):
        with opened(images.image_path(i)) as image, opened(path) as labels:
            if image.size != labels.size:
                raise DatasetError(
                    f"{path}: is {labels.width} x {labels.height}, its image {image.width} x {image.height}; the image "
                    f"has changed, so repeat the command that made the run"
                )
    return lambda i: check_labels(read_labels(paths[i]), void=None, name=paths[i])


def _labelled(run: Run, images: VOCSegmentation) -> Callable[[int], np.ndarray]:
    """Return a function of an image's number that labels it; damaged photographs are found first."""
    for i in range(len(images)):
        with opened(images.image_path(i)):
            pass
    return partial(_label, Segmenter(run.path, progress=run.progress), images)


def _label(segmenter: Segmenter, images: VOCSegmentation, i: int) -> np.ndarray:
    return segmenter(read_image(images.image_path(i))).labels


def _pack(path: Path, files: dict[str, Path]) -> None:
    """Write a .tar.gz of files by their names in it; the same files give the same bytes."""
    with (
        atomic_write(path) as stream,
        gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, file in files.items():
            member = tarfile.TarInfo(name)
            member.size = file.stat().st_size
            with file.open("rb") as content:
                tar.addfile(member, content)
