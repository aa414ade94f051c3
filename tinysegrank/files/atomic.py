"""Write files atomically: a file is either absent, unchanged or complete, even after a crash."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tinysegrank.errors import OutputError, explain_os_error

_TEMPORARY = ".tmp"


@contextmanager
def writing(path: Path | str, *, reads: bool = False) -> Iterator[None]:
    """Turn an OSError raised in the block, which writes `path`, into an OutputError that names the path.

    Args:
        path: the file or folder being written.
        reads: True if the block also reads other files; an OSError that names a file then passes unchanged.

    Raises:
        OutputError: the path cannot be written.
        BrokenPipeError: the path is a pipe whose reader is gone.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, BrokenPipeError) or (reads and error.filename is not None):
            raise
        full = error.errno is None and " requested and " in str(error)  # NumPy's message for a full disk
        told = OSError(errno.ENOSPC, str(error)) if full else error
        raise OutputError(explain_os_error(path, told, action="written")) from error


def destination(path: Path | str) -> Path | None:
    """Return the file that writing to `path` creates or replaces, with symbolic links resolved.

    Return None for a character device or a pipe, such as /dev/stdout, which has to be written to directly.

    Raises:
        OutputError: the path is a folder, a socket or a disk, or cannot be looked up.
    """
    with writing(path):
        try:
            mode = Path(path).stat().st_mode
        except FileNotFoundError:
            mode = stat.S_IFREG
        if stat.S_ISDIR(mode):
            raise OutputError(f"{path}: is a folder; give the name of a file")
        if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
            return None
        if not stat.S_ISREG(mode):
            raise OutputError(f"{path}: is a socket or a disk; give the name of a file")
        return Path(os.path.realpath(path))


@contextmanager
def atomic_write(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` for writing bytes; after the block, flush it to disk and rename it to `path`.

    Missing folders are created. If the block raises or the process is killed, `path` stays unchanged. An error also
    removes the temporary file, and so does a kill on most file systems of Linux. If `path` is a symbolic link, its
    target is replaced. A device or a pipe is written to directly.

    Raises:
        OutputError: the path cannot be written, or is a folder, a socket or a disk.
        BrokenPipeError: the path is a pipe whose reader is gone.
    """
    target = destination(path)
    if target is None:
        with writing(path):
            pipe = os.fdopen(os.open(path, os.O_WRONLY), "wb")
        with writing(path, reads=True), pipe:
            yield pipe
        return
    temporary = target.with_name(f".{secrets.token_hex(8)}{_TEMPORARY}")  # the target's name may be too long to extend
    with writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = _new_file(temporary)
    try:
        with writing(path, reads=True), stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            with writing(path):
                if not temporary.exists():
                    try:
                        _name(stream, target)
                        return
                    except FileExistsError:  # only a rename can replace it
                        _name(stream, temporary)
        with writing(path):
            temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _new_file(path: Path) -> IO[bytes]:
    """Open a new file for writing; most Linux file systems give it no name yet, so that it vanishes after a kill."""
    if hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").exists():
        with suppress(OSError):  # not every file system can do it
            return os.fdopen(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
    return path.open("xb")


def _name(stream: IO[bytes], path: Path) -> None:
    """Give the name `path` to an open file that has none; raise FileExistsError if the name is taken."""
    number = stream.fileno()
    os.link(f"/proc/self/fd/{number}", path, src_dir_fd=number)  # with src_dir_fd, link follows symbolic links


def remove_temporary(folder: Path) -> None:
    """Remove the files and folders named .NAME.tmp, left by killed processes, from a folder and all folders in it."""
    for path in list(folder.rglob(f".*{_TEMPORARY}")):
        with suppress(FileNotFoundError):  # it was in a folder that has been removed
            shutil.rmtree(path) if path.is_dir() else path.unlink()
