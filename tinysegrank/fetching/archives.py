"""Open and unpack tar archives from elsewhere; their links, devices and paths that lead outside are refused."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinysegrank.errors import DatasetError, brief
from tinysegrank.files import reading, writing


@contextmanager
def opened_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar archive, compressed or not, and turn errors of the enclosed code into errors that name it.

    Raises:
        DatasetError: the archive is missing or damaged, or has a member that must not be unpacked.
    """
    fault, remedy = "is damaged or isn't a tar archive", "download it again"
    with reading(path, DatasetError, fault=fault, remedy=remedy), tarfile.open(path) as tar:
        try:
            yield tar
        except tarfile.FilterError as error:
            said = re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: brief(quoted[0], 60), str(error))
            raise DatasetError(f"{path}: is not unpacked, as {said}; download it from its publisher") from error


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive of files and folders into an empty folder.

    Raises:
        DatasetError: the archive is missing or damaged, or has a link, a device or a path that leads outside.
        OutputError: the folder cannot be written.
    """
    with opened_tar(path) as tar, writing(folder, reads=True):
        tar.extractall(folder, filter=_files_only)  # noqa: S202  # filtered


def _files_only(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """Apply Python's filter "data", and refuse links as well, which that filter allows inside the folder."""
    if member.issym() or member.islnk():
        raise tarfile.LinkOutsideDestinationError(member, member.linkname)
    return tarfile.data_filter(member, place)
