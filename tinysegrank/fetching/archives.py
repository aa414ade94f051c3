"""Open and unpack tar archives from elsewhere; their links, devices and paths that lead outside are refused."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinysegrank.errors import DatasetError, explain_os_error
from tinysegrank.files import writing


@contextmanager
def opened_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar archive, compressed or not, and turn errors of the enclosed code into errors that name it.

    Raises:
        DatasetError: the archive is missing or damaged, or has a member that must not be unpacked.
    """
    try:
        with tarfile.open(path) as tar:
            yield tar
    except tarfile.FilterError as error:
        raise DatasetError(f"{path}: is not unpacked, as {error}; download it from its publisher") from error
    except OSError as error:
        if error.errno is None:  # gzip reports damage like this
            raise _damaged(path, error) from error
        raise DatasetError(explain_os_error(path, error)) from error
    except (tarfile.TarError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DatasetError:
    said = str(error).partition("\n")[0].rstrip(":")  # tarfile adds a line for each compression it tried
    return DatasetError(f"{path}: is damaged or isn't a tar archive ({said}); download it again")


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive of files and folders into an empty folder.

    Raises:
        DatasetError: the archive is missing or damaged, or has a link, a device or a path that leads outside.
        OutputError: the folder cannot be written.
    """
    with opened_tar(path) as tar, writing(folder, reads=True):
        tar.extractall(folder, filter=_files_only)  # noqa: S202  # filtered


def _files_only(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """Apply Python's filter "data", and refuse links, which that allows inside the folder."""
    if member.issym() or member.islnk():
        raise tarfile.LinkOutsideDestinationError(member, member.linkname)
    return tarfile.data_filter(member, place)
