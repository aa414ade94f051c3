"""The one place that knows which files of a run are stale.

An artifact is a folder of files that were made together. Its `stamp.json` holds the key it was made under, and the
size, time and SHA-256 of each of its files. `make` keeps an artifact whose key and files are as they were, resumes one
that was interrupted, replaces files that were lost or changed, and empties one that was made from anything else.

An artifact may have others inside it, each with a stamp of its own; their files count as the outer one's too.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tinysegrank.code_digest import code_digest
from tinysegrank.config import to_dict
from tinysegrank.errors import CheckpointError, ConfigError, OutputError
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.files import is_temporary, read_json, write_json
from tinysegrank.plugins import load_plugins

STAMP = "stamp.json"
_FORMAT = 2  # raise when the same key no longer stands for the same files

_MACHINERY = frozenset(
    f"tinysegrank.{name}"
    for name in (
        "cluster", "code_digest", "compiled_cache", "experiment.artifacts", "experiment.folder_lock",
        "experiment.progress", "experiment.run_folder", "experiment.runner", "experiment.settings",
    )
)  # fmt: skip
"""Modules that decide when a stage runs and where, not what comes out of it; settings are in a key by their values."""

Loaded = TypeVar("Loaded")


class Key(NamedTuple):
    """The origin of an artifact: a digest of settings and inputs, and one of the code."""

    made_from: str = ""
    code: str = ""


class File(NamedTuple):
    """A file as it was written."""

    size: int
    time: int  # of its last change, in nanoseconds
    sha256: str


class Condition(Enum):
    """The condition of an artifact, as found by `inspect`."""

    ABSENT = "not made yet"
    FRESH = "as it would be made now"
    INTERRUPTED = "begun, not finished"
    DAMAGED = "finished, but files are missing or changed"
    OTHER_CODE = "finished, by other code"
    STALE = "made from something else"


@dataclass(frozen=True)
class Stamp:
    """The record of an artifact.

    Attributes:
        key: what it was made from.
        complete: whether the work was finished.
        seconds: time it took, and that of later repairs; that of interrupted calls is left out.
        files: its files by path relative to the folder.
    """

    key: Key = field(default_factory=Key)
    complete: bool = False
    seconds: float = 0.0
    files: Mapping[str, File] = field(default_factory=dict)

    def content(self, place: str = "") -> str:
        """Return a digest of the files' contents, for the keys of artifacts that depend on this one.

        Args:
            place: a file or folder of the artifact, to cover only its contents; all files by default.
        """
        if not self.complete:
            return ""
        names = [name for name in self.files if not place or name == place or name.startswith(f"{place}/")]
        return digest({name: self.files[name].sha256 for name in names})


def digest(value: Any) -> str:
    """Return the SHA-256 of a value as canonical JSON; dataclasses count as the dictionaries of their fields."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=to_dict).encode()).hexdigest()


def key(settings: Any, inputs: Any, module: str) -> Key:
    """Return the key of what a module makes.

    Args:
        settings: all settings that the result depends on, as JSON values or dataclasses.
        inputs: what else it depends on: contents of other artifacts, a listing of files.
        module: full name of the module of the package whose code makes it.
    """
    return Key(digest([_FORMAT, settings, inputs]), code_of(module))


def code_of(module: str) -> str:
    """Return a digest of the code of a module and all it imports, without the modules of `_MACHINERY`."""
    return code_digest(module, left_out=_MACHINERY, plugins=load_plugins())


def read_stamp(folder: Path) -> Stamp:
    """Read the record of an artifact; return an empty one if it is missing or damaged."""
    return load_once(_read_stamp, folder / STAMP)  # with 100,000 files it is long, and every later stage asks for it


def _read_stamp(path: Path) -> Stamp:
    try:
        found = read_json(path)
        files = {name: File(int(size), int(when), str(sha)) for name, (size, when, sha) in found["files"].items()}
        return Stamp(Key(*found["key"]), bool(found["complete"]), float(found["seconds"]), files)
    except (CheckpointError, KeyError, TypeError, ValueError, AttributeError):
        return Stamp()


def inspect(folder: Path, key: Key) -> Condition:
    """Return the condition of an artifact, given the key that it should have."""
    stamp = read_stamp(folder)
    if stamp == Stamp():
        return Condition.STALE if folder.is_dir() and any(folder.iterdir()) else Condition.ABSENT
    if stamp.key.made_from != key.made_from:
        return Condition.STALE
    if not stamp.complete:
        return Condition.INTERRUPTED if stamp.key == key else Condition.STALE
    if stamp.key.code != key.code:
        return Condition.OTHER_CODE
    return Condition.DAMAGED if damaged_files(folder) else Condition.FRESH


def damaged_files(folder: Path) -> list[str]:
    """Return the names of an artifact's files that are missing or changed since they were written.

    A file whose size and time are as in the stamp is not read, and any other file once for each of its states.
    """
    return [name for name, file in read_stamp(folder).files.items() if _now(folder / name, file) is None]


def renew_times(folder: Path, lock: FolderLock) -> None:
    """Store the files' present times in an artifact's stamp, if all are as they were written.

    Files that were copied have new times, so they are read to check them; afterwards they need not be read again. If
    the run folder's lock cannot be taken, or the folder cannot be written to, nothing is stored.
    """
    stamp = read_stamp(folder)
    now = {name: found for name, file in stamp.files.items() if (found := _now(folder / name, file))}
    if len(now) == len(stamp.files) and now != stamp.files:
        with suppress(ConfigError, OutputError):
            lock.hold()
            write_json(folder / STAMP, vars(replace(stamp, files=now)))


def _now(path: Path, file: File) -> File | None:
    """Return the record of a file with its present time, or None if it is missing or not as it was written."""
    try:
        now = path.stat()
        if now.st_size != file.size:
            return None
        if now.st_mtime_ns == file.time:
            return file
        same = _digest_of(path, now.st_size, now.st_mtime_ns, now.st_ino) == file.sha256
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    return file._replace(time=now.st_mtime_ns) if same else None


@cache
def _digest_of(path: Path, *state: int) -> str:  # noqa: ARG001
    return file_digest(path)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make(folder: Path, key: Key, work: Callable[[], Any], *, parts: bool = False, whole_folders: bool = False) -> None:
    """Bring an artifact up to date.

    Args:
        folder: folder of the artifact; created if missing.
        key: the key it should have.
        work: writes the files that are missing in the folder; keeps those that it finds there.
        parts: everything in the folder belongs to artifacts inside it, which are checked one by one, so a new key
            doesn't empty the folder.
        whole_folders: files in the same subfolder are written together, and are replaced together.
    """
    condition, stamp = inspect(folder, key), read_stamp(folder)
    if condition is Condition.FRESH:
        return
    if condition is Condition.DAMAGED:
        for name in damaged_files(folder):
            path = (folder / name).parent if whole_folders else folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    elif condition is not Condition.INTERRUPTED and folder.exists() and not parts:
        shutil.rmtree(folder)
    earlier = stamp.seconds if condition in (Condition.DAMAGED, Condition.INTERRUPTED) else 0.0
    write_json(folder / STAMP, vars(Stamp(key, seconds=earlier)))
    started = time.perf_counter()
    work()
    seconds = round(earlier + time.perf_counter() - started, 3)
    write_json(folder / STAMP, vars(Stamp(key, complete=True, seconds=seconds, files=_files_in(folder))))


def _files_in(folder: Path) -> dict[str, File]:
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.name != STAMP and path.is_file():
            if is_temporary(path):  # of a process that was killed
                path.unlink(missing_ok=True)
                continue
            now = path.stat()
            files[path.relative_to(folder).as_posix()] = File(now.st_size, now.st_mtime_ns, file_digest(path))
    return files


def load_once(load: Callable[..., Loaded], path: Path, *arguments: Any) -> Loaded:
    """Return `load(path, *arguments)`, called once in each process for each state of the file or folder."""
    now = path.stat() if path.exists() else None
    loaded: Loaded = _load(load, path, arguments, now and (now.st_size, now.st_mtime_ns, now.st_ino))
    return loaded


@lru_cache(maxsize=32)
def _load(load: Callable[..., Any], path: Path, arguments: tuple[Any, ...], state: Any) -> Any:  # noqa: ARG001
    return load(path, *arguments)
