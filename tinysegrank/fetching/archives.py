"""Unpack downloaded archives, such as PASCAL VOC 2012's; refuse links, devices and paths that lead outside."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from tinysegrank.errors import DatasetError, OutputError, brief
from tinysegrank.fetching.download import MEGABYTE, Counter
from tinysegrank.files import reading, writing
from tinysegrank.outputs import check_folder
from tinysegrank.voc import VOCSegmentation

VOC = Path("VOCdevkit/VOC2012")


def voc_root(folder: Path) -> Path:
    """Return a folder itself if it holds JPEGImages/, or else its VOCdevkit/VOC2012, which may be missing."""
    return folder if (folder / "JPEGImages").is_dir() else folder / VOC


def unpack_voc(archive: Path, folder: Path, *, progress: Counter, replace: bool = False) -> Path:
    """Unpack VOCtrainval_11-May-2012.tar into a folder, and return FOLDER/VOCdevkit/VOC2012.

    That folder appears once the whole archive is unpacked. If it exists and is complete, it is kept. With `replace`,
    the archive's files replace those in it, and other files stay.

    Raises:
        DatasetError: the archive is missing or damaged, holds no VOC 2012, or has a link, a device or a path that leads
            outside.
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
        unpack(archive, Path(place), progress=progress)
        try:
            VOCSegmentation(Path(place) / VOC, "trainval")
        except DatasetError as error:
            said = str(error).replace(f"{place}/", "")
            raise DatasetError(f"{archive}: is not VOC's trainval archive: {said}") from error
        with writing(root):
            _move(Path(place) / VOC, root)
    return root


def _move(source: Path, target: Path) -> None:
    """Move a folder to `target`; if that exists, move the files into it, and replace those of the same names."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        source.rename(target)
        return
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)


@contextmanager
def opened_tar(path: Path, *, progress: Counter) -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """Open a tar archive, compressed or not; errors in the block from reading or unpacking it get its name.

    Yields:
        The archive, and an iterator over its members that reports progress in megabytes of the file.

    Raises:
        DatasetError: the archive is missing or damaged, or has a member that must not be unpacked.
    """
    fault, remedy = "is damaged or isn't a tar archive", "download it again"
    with (
        reading(path, DatasetError, fault=fault, remedy=remedy),
        path.open("rb") as file,
        tarfile.open(fileobj=file) as tar,
        progress.count(f"{path.name}, MB read", path.stat().st_size // MEGABYTE) as advance,
    ):
        try:
            yield tar, _counted(tar, file, advance)
        except tarfile.FilterError as error:
            said = re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: brief(quoted[0], 60), str(error))
            raise DatasetError(f"{path}: is not unpacked, as {said}; download it from its publisher") from error


def _counted(tar: tarfile.TarFile, file: IO[bytes], advance: Callable[[int], None]) -> Iterator[tarfile.TarInfo]:
    done = 0
    for member in tar:
        yield member
        read = file.tell() // MEGABYTE
        advance(read - done)
        done = read


def unpack(path: Path, folder: Path, *, progress: Counter) -> None:
    """Unpack an archive of files and folders into an empty folder.

    Raises:
        DatasetError: the archive is missing or damaged, or has a link, a device or a path that leads outside.
        OutputError: the folder cannot be written.
    """
    with opened_tar(path, progress=progress) as (tar, members), writing(folder, reads=True):
        tar.extractall(folder, members, filter=_files_only)  # noqa: S202  # filtered


def _files_only(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """Apply Python's filter "data", but refuse all links: the filter allows those that stay in the folder."""
    if member.issym() or member.islnk():
        raise tarfile.LinkOutsideDestinationError(member, member.linkname)
    return tarfile.data_filter(member, place)
