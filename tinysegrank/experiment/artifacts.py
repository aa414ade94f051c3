"""The one place that knows which files of a run are stale.

An artifact is a folder of files that were made together. Its `stamp.json` holds the key it was made under, and the
size, time and SHA-256 of each of its files. `make` keeps an artifact whose key and files are as they were, resumes one
that was interrupted, replaces files that were lost or changed, and empties one that was made from anything else.

An artifact may have others inside it, each with a stamp of its own; their files count as the outer one's too.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from tinysegrank.backend import one_device
from tinysegrank.code_digest import code_digest
from tinysegrank.config import to_dict
from tinysegrank.errors import ConfigError, OutputError
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.origin import software_and_machine
from tinysegrank.files import remove_temporary, write_json
from tinysegrank.plugins import load_plugins
from tinysegrank.stamps import STAMP, File, Key, Stamp, changed, digest, file_digest, is_as_written, read_stamp

_FORMAT = 2  # raise when the same key no longer stands for the same files

_MACHINERY = frozenset(
    f"tinysegrank.{name}"
    for name in (
        "cluster", "code_digest", "compiled_cache", "inputs", "stamps",
        *(f"experiment.{name}" for name in (
            "artifacts", "folder_lock", "manifest", "origin", "progress", "run_folder", "runner", "settings",
        )),
    )
)  # fmt: skip
"""Modules that decide when a stage runs and where, not what comes out of it; settings are in a key by their values."""

Loaded = TypeVar("Loaded")


class Condition(Enum):
    """The condition of an artifact, as found by `inspect`."""

    ABSENT = "not made yet"
    FRESH = "as it would be made now"
    INTERRUPTED = "begun, not finished"
    DAMAGED = "finished, but files are missing or changed"
    OTHER_CODE = "finished, by other code"
    STALE = "made from something else"


def key(settings: Any, inputs: Any, module: str) -> Key:
    """Return the key of an artifact: a digest of its settings and inputs, and one of the code that makes it.

    Args:
        settings: all settings that the artifact depends on, as JSON values or dataclasses.
        inputs: everything else that it depends on, as JSON values, such as digests of other artifacts.
        module: full name of the module whose code makes it.
    """
    return Key(digest([_FORMAT, settings, inputs], to_dict), code_of(module))


def code_of(module: str) -> str:
    """Return a digest of a module's code and of all that it imports from the package, even by way of other modules.

    Without `_MACHINERY`, which changes no result, and with the plugins that import any of these modules.
    """
    return code_digest(module, left_out=_MACHINERY, plugins=load_plugins())


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


def damaged_files(folder: Path, *, read_all: bool = False) -> list[str]:
    """Return the names of an artifact's files that are missing or changed since they were written.

    A file with the size and time that the stamp notes counts as unchanged. Any other file is read and compared with its
    digest; with `read_all`, every file is.
    """
    files = read_stamp(folder).files.items()
    return [name for name, file in files if _now(folder / name, file, read=read_all) is None]


def check_damage(folder: Path) -> None:
    """Check that an artifact's files are as they were written.

    Raises:
        CheckpointError: a file is missing or changed.
    """
    for name in damaged_files(folder):
        raise changed(folder / name)


def renew_times(folder: Path, lock: FolderLock) -> None:
    """Store the present times of an artifact's files in its stamp, if the files are otherwise as they were written.

    Copied files have new times, so every check would read them; after this call, a check need not. Nothing is stored
    if the run folder's lock cannot be taken, or the folder cannot be written to.
    """
    stamp = read_stamp(folder)
    now = {name: found for name, file in stamp.files.items() if (found := _now(folder / name, file))}
    if len(now) == len(stamp.files) and now != stamp.files:
        with suppress(ConfigError, OutputError):
            lock.hold()
            write_json(folder / STAMP, replace(stamp, files=now).to_json())


def _now(path: Path, file: File, *, read: bool = False) -> File | None:
    """Return a file's record with the file's present time, or None if the file is missing or not as it was written.

    The size is always compared, the contents only if the time differs from the record's, or with `read`.
    """
    try:
        now = path.stat()
        if not read and (now.st_size, now.st_mtime_ns) == (file.size, file.time):
            return file
        same = is_as_written(path, file)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG):
            raise
        return None
    return file._replace(time=now.st_mtime_ns) if same else None


def make(
    folder: Path,
    key: Key,
    work: Callable[[], Any],
    *,
    needs: Mapping[str, str] | None = None,
    parts: bool = False,
    whole_folders: bool = False,
) -> None:
    """Bring an artifact up to date: keep, resume, repair or remake it, as its condition requires.

    Args:
        folder: folder of the artifact; created if missing.
        key: key that the artifact should have.
        work: writes the files that are missing in the folder; keeps those that it finds there.
        needs: digests of other artifacts that this one is made from, by name, to note in the stamp.
        parts: everything in the folder belongs to artifacts inside it, which are checked one by one, so a new key
            doesn't empty the folder.
        whole_folders: the files of each subfolder, or of `folder` itself, are written together; if one is damaged, the
            folder that holds it is deleted.
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
    begun = Stamp(key, seconds=earlier, needs=needs or {}, made_by=software_and_machine())
    write_json(folder / STAMP, begun.to_json())
    started = time.perf_counter()
    work()
    seconds = round(earlier + time.perf_counter() - started, 3)
    done = replace(begun, complete=True, seconds=seconds, files=_files_in(folder))
    write_json(folder / STAMP, done.to_json())


def _files_in(folder: Path) -> dict[str, File]:
    files = {}
    remove_temporary(folder)
    for path in sorted(folder.rglob("*")):
        if path.name != STAMP and path.is_file():
            now = path.stat()
            files[path.relative_to(folder).as_posix()] = File(now.st_size, now.st_mtime_ns, file_digest(path))
    return files


def load_once(load: Callable[..., Loaded], path: Path, *arguments: Any) -> Loaded:
    """Return `load(path, *arguments)`, cached in this process for each device until the file or folder changes."""
    now = path.stat() if path.exists() else None
    state = now and (now.st_size, now.st_mtime_ns, now.st_ino)
    loaded: Loaded = _load(load, path, arguments, (one_device(), state))
    return loaded


@lru_cache(maxsize=32)
def _load(load: Callable[..., Any], path: Path, arguments: tuple[Any, ...], state: Any) -> Any:  # noqa: ARG001
    return load(path, *arguments)
