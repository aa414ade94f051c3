"""Label maps in the layout of VOC's evaluation server, and the archive to upload.

Source: the devkit's VOCinit.m and the server's instructions: results/VOC2012/Segmentation/comp6_SPLIT_cls/NAME.png for
every image of the split, indexed PNGs of the image's size without void; comp6 is segmentation with any training data.
"""

from __future__ import annotations

import gzip
import shlex
import tarfile
from pathlib import Path

from tinysegrank.errors import ConfigError
from tinysegrank.experiment.runner import Run
from tinysegrank.exporting.label_maps import open_images, write_label_maps
from tinysegrank.files import atomic_write
from tinysegrank.voc import VOC
from tinysegrank.voc.split import first_few

_INNER = Path("results/VOC2012/Segmentation")


def export_voc(run: Run, folder: Path, *, split: str = "", replace: bool = False, skip: bool = False) -> Path:
    """Write SegNet+SVM's labels of a split in the server's layout, and the archive; return the archive.

    For splits, see `export_labels`; here they are whole, even if `data.limit` is set.

    Args:
        run: a finished run.
        folder: FOLDER/results/VOC2012/... and FOLDER/comp6_SPLIT.tar.gz are written.
        split: name of the split; the run's val by default.
        replace: replace files that an earlier call wrote.
        skip: keep files that exist, as after an interruption, and write the others.

    Raises:
        ConfigError: the run's classes are not VOC's, or both `replace` and `skip` are set.
        DatasetError: an image of the split has no labels, or labels of another size; a photograph is missing.
        CheckpointError: the run is not finished.
        OutputError: a file cannot be written or already exists.
    """
    if run.settings.classes != VOC:
        raise ConfigError(
            f"{run.path}: its classes ({first_few(run.settings.classes.names[1:])}) are not VOC's, which the server"
            f" scores; write its label maps by: {shlex.join(['tinysegrank', 'export', 'labels', str(run.path)])}"
        )
    images = open_images(run, split, whole=True)
    inner, archive = _INNER / f"comp6_{images.split}_cls", folder / f"comp6_{images.split}.tar.gz"
    if archive in write_label_maps(run, images, folder / inner, replace=replace, skip=skip, also=[archive]):
        _pack(archive, folder, [inner / f"{name}.png" for name in images.names])
    return archive


def _pack(path: Path, folder: Path, files: list[Path]) -> None:
    """Write a .tar.gz of files, given relative to the folder; the same files give the same bytes."""
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
