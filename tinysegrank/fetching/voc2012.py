"""Unpack PASCAL VOC 2012's archive."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tinysegrank.errors import DatasetError, OutputError
from tinysegrank.fetching.archives import unpack
from tinysegrank.files import writing
from tinysegrank.outputs import check_folder
from tinysegrank.voc import VOCSegmentation

VOC = Path("VOCdevkit/VOC2012")


def voc_root(folder: Path) -> Path:
    """Return the VOC root in a folder: the folder itself if it holds JPEGImages/, or its VOCdevkit/VOC2012."""
    return folder if (folder / "JPEGImages").is_dir() else folder / VOC


def unpack_voc(archive: Path, folder: Path, *, replace: bool = False) -> Path:
    """Unpack VOCtrainval_11-May-2012.tar into a folder, and return FOLDER/VOCdevkit/VOC2012.

    Nothing appears there before the whole archive is unpacked. Data that is there and complete is kept.

    Args:
        archive: the archive.
        folder: made if missing.
        replace: replace the archive's files one by one where they exist; other files stay.

    Raises:
        DatasetError: the archive is damaged, holds no VOC 2012, or has a link or a path that leads out of it.
        OutputError: the folder cannot be written, or holds a VOC2012 that is not complete.
    """
    root = folder / VOC
    if root.exists() and not replace:
        with suppress(DatasetError):
            VOCSegmentation(root, "trainval")
            return root
        raise OutputError(f"{root}: exists and is not complete; pass --force to replace its files, or another --to")
    check_folder(folder, named=folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".unpacking-") as place:
        unpack(archive, Path(place))
        try:
            VOCSegmentation(Path(place) / VOC, "trainval")
        except DatasetError as error:
            said = str(error).replace(f"{place}/", "")
            raise DatasetError(f"{archive}: is not VOC's trainval archive: {said}") from error
        with writing(root):
            _move(Path(place) / VOC, root)
    return root


def _move(source: Path, target: Path) -> None:
    """Move a folder; where it exists, move the files into it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        source.rename(target)
        return
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
