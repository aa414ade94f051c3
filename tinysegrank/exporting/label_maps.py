"""Label maps of a split's images as palette PNGs: a folder of them, or the archive that VOC's server takes."""

from __future__ import annotations

import gzip
import shlex
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.experiment import Segmenter
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import picked
from tinysegrank.files import atomic_write, write_text
from tinysegrank.outputs import check_results
from tinysegrank.voc import VOC, VOCSegmentation, check_labels, read_image, read_labels, write_labels
from tinysegrank.voc.classes import CLASSES_FILE
from tinysegrank.voc.images import opened
from tinysegrank.voc.split import first_few

SYSTEM = "svm"
_INNER = Path("results/VOC2012/Segmentation")


def export_labels(run: Run, folder: Path, *, split: str = "", replace: bool = False, skip: bool = False) -> Path:
    """Write SegNet+SVM's labels of a split to FOLDER/NAME.png, which `evaluate` reads; return the folder.

    A run of all stages has the labels of its val images. Images of other splits are labelled here, as `predict` does.
    So are the val images of a run with `--until ranker`, which suits a val split without masks, such as VOC's test.
    FOLDER/classes.txt lists the run's classes if they are not VOC's; see `read_classes`.

    Args:
        folder: created if missing.
        split: name of the split; the run's val by default.
        replace: replace existing files.
        skip: keep existing files, as after an interruption, and write the others.

    Raises:
        ConfigError: both `replace` and `skip` are set, or images have to be labelled here and the run's proposals were
            made elsewhere.
        DatasetError: an image of the split has no labels, or labels of another size; or the split or a photograph is
            missing or damaged.
        CheckpointError: the run is not finished, or a file of it is damaged.
        OutputError: a file cannot be written or already exists.
    """
    listed = [folder / CLASSES_FILE] if run.settings.data.classes else []
    images = _open_images(run, split, whole=False)
    for file in _write_label_maps(run, images, folder, replace=replace, skip=skip, also=listed).intersection(listed):
        write_text(file, "".join(f"{line}\n" for line in run.settings.classes.lines()))
    return folder


def export_voc(run: Run, folder: Path, *, split: str = "", replace: bool = False, skip: bool = False) -> Path:
    """Write SegNet+SVM's labels as VOC's server takes them; return the archive to upload, FOLDER/comp6_SPLIT.tar.gz.

    All images of the split are needed, even if `data.limit` is set. For the arguments and other errors see
    `export_labels`.

    Raises:
        ConfigError: the run's classes are not VOC's, or both `replace` and `skip` are set.

    Source: the devkit's VOCinit.m and the server's instructions: results/VOC2012/Segmentation/comp6_SPLIT_cls/NAME.png
    for every image of the split, indexed PNGs without void; comp6 is segmentation with any training data.
    """
    if run.settings.classes != VOC:
        raise ConfigError(
            f"{run.path}: its classes ({first_few(run.settings.classes.names[1:])}) are not VOC's, which the server"
            f" scores; write its label maps by: {shlex.join(['tinysegrank', 'export', 'labels', str(run.path)])}"
        )
    images = _open_images(run, split, whole=True)
    inner, archive = _INNER / f"comp6_{images.split}_cls", folder / f"comp6_{images.split}.tar.gz"
    if archive in _write_label_maps(run, images, folder / inner, replace=replace, skip=skip, also=[archive]):
        _pack(archive, folder, [inner / f"{name}.png" for name in images.names])
    return archive


def _open_images(run: Run, split: str, *, whole: bool) -> VOCSegmentation:
    """Open a split of the run's data, val by default, without masks; `data.limit` limits val unless `whole` is set."""
    data, split = run.settings.data, split or run.settings.data.val
    limit = data.limit or None if split == data.val and not whole else None
    return VOCSegmentation(data.voc, split, limit=limit, masks=None, classes=run.settings.classes)


def _write_label_maps(
    run: Run, images: VOCSegmentation, folder: Path, *, replace: bool, skip: bool, also: Sequence[Path] = ()
) -> set[Path]:
    """Write FOLDER/NAME.png for every image; with `skip`, only those that are missing.

    Return the files written, and those of the further outputs `also` that the caller must write.
    """
    files = [folder / f"{name}.png" for name in images.names]
    outputs = [*((images.image_path(i), file) for i, file in enumerate(files)), *((run.path, file) for file in also)]
    missing = check_results(outputs, option="--out", replace=replace, skip=skip)
    own = images.split == run.settings.data.val and run.stamp(picked.STAGE.name).complete
    labels_of = _stored(run, images) if own else _labelled(run, images)
    with run.progress.count(f"{images.split} images", len(images)) as advance:
        for i, file in enumerate(files):
            if file in missing:
                write_labels(file, labels_of(i), images.classes)
            advance(1)
    return missing


def _stored(run: Run, images: VOCSegmentation) -> Callable[[int], np.ndarray]:
    """Return a function that reads the run's label map of an image, given the image's number.

    Raises:
        DatasetError: an image has no map, or one of another size; this function checks all of them.
    """
    run.require([picked.STAGE.name], "an export of label maps")
    folder = run.folder(picked.STAGE.name) / SYSTEM
    paths = [folder / f"{name}.png" for name in images.names]
    if missing := [path.name for path in paths if not path.is_file()]:
        limited = ", as data.limit left them out" if run.settings.data.limit else ""
        raise DatasetError(
            f"{folder}: lacks {len(missing)} of the {len(images)} label maps of {images.split!r}{limited}: "
            f"{first_few(missing)}; run on all images of the split"
        )
    for i, path in enumerate(paths):
        with opened(images.image_path(i)) as image, opened(path) as labels:
            if image.size != labels.size:
                raise DatasetError(
                    f"{path}: is {labels.width} x {labels.height}, its image {image.width} x {image.height}; the image "
                    f"has changed, so make its labels anew by: {run.command}"
                )
    return lambda i: check_labels(read_labels(paths[i], images.classes), void=None, name=paths[i])


def _labelled(run: Run, images: VOCSegmentation) -> Callable[[int], np.ndarray]:
    """Return a function that labels an image, given its number; first check that every photograph can be opened."""
    for i in range(len(images)):
        with opened(images.image_path(i)):
            pass
    segmenter = Segmenter(run.path, progress=run.progress)
    return lambda i: segmenter(read_image(images.image_path(i))).labels


def _pack(path: Path, folder: Path, files: list[Path]) -> None:
    """Write files, given relative to the folder, to the .tar.gz `path`; the same files give the same bytes."""
    with (
        atomic_write(path) as stream,
        gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for file in files:
            member = tarfile.TarInfo(file.as_posix())
            member.size = (folder / file).stat().st_size
            with (folder / file).open("rb") as content:
                tar.addfile(member, content)
