"""Stamps: the files that a run made together, an artifact, have a `stamp.json` with the size, time and SHA-256 of each.

Files are read through `files.reading` or `voc.images.opened`, which call `check_file` first. So each process compares a
file with its digest before it first reads it, even if size and time are as in the stamp.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tinysegrank.errors import CheckpointError, explain_os_error

STAMP = "stamp.json"
_LONGEST = 1000  # bytes of a file's path in a folder
_LEVELS = 4  # folders between a file and its stamp, at most


class Key(NamedTuple):
    """The origin of an artifact: a digest of settings and inputs, and one of the code."""

    made_from: str = ""
    code: str = ""


class File(NamedTuple):
    """Size, time and digest of a file when it was written."""

    size: int
    time: int  # of its last change, in nanoseconds
    sha256: str


@dataclass(frozen=True)
class Stamp:
    """The record of an artifact, a folder of files that a run made together."""

    key: Key = field(default_factory=Key)  # what it was made from
    complete: bool = False  # whether the work was finished
    seconds: float = 0.0  # that the work and later repairs took; interrupted attempts are not counted
    files: Mapping[str, File] = field(default_factory=dict)  # by path relative to the folder
    needs: Mapping[str, str] = field(default_factory=dict)  # contents of other artifacts that it was made from, by name
    made_by: Mapping[str, str] = field(default_factory=dict)  # software and machine, by name

    def content(self, place: str = "") -> str:
        """Return a digest of all files, or of the file or subfolder at `place`; "" if the work was not finished."""
        if not self.complete:
            return ""
        names = [name for name in self.files if not place or name == place or name.startswith(f"{place}/")]
        return digest({name: self.files[name].sha256 for name in names})

    def to_json(self) -> dict[str, Any]:
        """Return the stamp as values for JSON; the last is a digest of the others."""
        content = {**vars(self), "files": {name: list(file) for name, file in self.files.items()}}
        return {**content, "sha256": digest(content)}


def digest(value: Any, default: Any = None) -> str:
    """Return the SHA-256 of a value as JSON with sorted keys; `default` converts values that JSON has no form for."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=default).encode()).hexdigest()


def read_stamp(folder: Path) -> Stamp:
    """Read the record of an artifact; return an empty one if it is missing or damaged.

    Raises:
        CheckpointError: the system refuses to read it.
    """
    path = folder / STAMP
    try:
        now = path.stat()
        return _read(path, now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino)
    except (FileNotFoundError, NotADirectoryError):
        return Stamp()
    except OSError as error:
        raise CheckpointError(explain_os_error(path, error)) from error


@lru_cache(maxsize=64)  # with 100,000 files it is long, and every later stage asks for it
def _read(path: Path, *state: int) -> Stamp:  # noqa: ARG001
    content = path.read_bytes()
    try:
        found = json.loads(content)
        written = found.pop("sha256", None)
        if written is not None and written != digest(found):
            return Stamp()
        files = {name: File(int(size), int(when), str(sha)) for name, (size, when, sha) in found.pop("files").items()}
        if not all(map(_is_inside, files)):
            return Stamp()
        return Stamp(Key(*found.pop("key")), files=files, **found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Stamp()


def _is_inside(name: str) -> bool:
    """Return whether a path in a stamp is short and in the artifact's folder, as `artifacts.make` may delete it."""
    odd = name.startswith("/") or ".." in name.split("/") or "\0" in name
    return not odd and len(os.fsencode(name)) <= _LONGEST  # raises ValueError where no file can have the name


def check_file(path: Path | str) -> None:
    """Compare a file with its digest in the outermost stamp above it that lists it, if there is one.

    The file is read again only if its size or time has changed since the last check in this process. If it differs, its
    time is set to the present, so that checks of size and time alone notice it too. A missing file passes.

    Raises:
        CheckpointError: the file is not as it was written.
    """
    path = Path(path)
    for folder in reversed(path.parents[:_LEVELS]):  # a finished artifact's stamp counts, not those of its parts
        if file := read_stamp(folder).files.get(path.relative_to(folder).as_posix()):
            if path.is_file() and not is_as_written(path, file):
                with suppress(OSError):
                    os.utime(path)
                raise changed(path)
            return


def changed(path: Path) -> CheckpointError:
    """Return the error to raise for a file that is not as its stamp says."""
    return CheckpointError(
        f"{path}: is missing or changed since it was written; repeat the command that made it, which replaces it"
    )


def is_as_written(path: Path, file: File) -> bool:
    """Return whether a file still has the size and digest that its stamp lists."""
    now = path.stat()
    if now.st_size != file.size:
        return False
    return _digest_of(path, now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino) == file.sha256


@lru_cache(maxsize=2**16)  # some files of every image are read again and again
def _digest_of(path: Path, *state: int) -> str:  # noqa: ARG001
    return file_digest(path)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
