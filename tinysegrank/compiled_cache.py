"""Cache of machine code on disk.

It has one folder per state of the code. The folder's name is a digest of all modules with compiled functions, of the
modules that they import, of the versions of numba and Python, of the processor, and of numba's settings. So machine
code is never stale, whichever file has changed; numba's own cache would check only the file of the function itself, and
not the functions and constants compiled into it.

Cached files are pickles, so a folder is used only if nobody else can write to it. A function whose file is missing,
truncated or unreadable is compiled again.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import platform
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import platformdirs
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target
from numba.core.serialize import dumps

from tinysegrank import __version__
from tinysegrank.code_digest import code_digest, importers_of
from tinysegrank.files import atomic_write

VARIABLE = "NUMBA_CACHE_DIR"
KEPT = 7  # number of folders of other states to keep, those used last; some 10 MB each
LATELY = 7 * 24 * 3600  # seconds for which an unused folder is kept in any case
LOGGER = logging.getLogger(__name__)
_INERT = (VARIABLE, "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER")  # settings that do not change machine code
_CHECKSUM = sha256().digest_size


class Cache(NullCache):  # type: ignore[misc]  # numba has no types
    """The cache of one function, with the methods that numba's dispatchers call.

    There is one file per combination of argument types: a checksum, then the pickled types and machine code.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}".replace("<locals>.", "")
        self._enclosed = repr([cell.cell_contents for cell in function.__closure__ or ()])  # compiled in as constants

    @property
    def cache_path(self) -> str | None:
        """The cache's folder, or None if no folder can be used."""
        folder = cache_folder()
        return None if folder is None else str(folder)

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return the function compiled for the argument types in `signature`, or None if it must be compiled."""
        context.refresh()
        if (folder := cache_folder()) is None:
            return None
        if not (folder / self._file(signature)).exists():
            _say_once()
        try:
            stored = (folder / self._file(signature)).read_bytes()
            checksum, content = stored[:_CHECKSUM], stored[_CHECKSUM:]
            if sha256(content).digest() != checksum:
                return None
            found, reduced = pickle.loads(content)  # noqa: S301 - nobody else can write to this folder
            return CompileResult._rebuild(context, *reduced) if found == signature else None
        except Exception:  # the file is missing or unusable, for whatever reason: compile again
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Store the function compiled for the argument types in `signature`, or do nothing where that fails."""
        if result.lifted or result.library.has_dynamic_globals or (folder := cache_folder()) is None:
            return
        content = dumps((signature, result._reduce()))
        with suppress(OSError):  # such as a full disk
            _make_private(folder)
            with atomic_write(folder / self._file(signature)) as stream:
                stream.write(sha256(content).digest() + content)

    def _file(self, signature: Any) -> str:
        return f"{self._name}-{sha256(f'{signature} {self._enclosed}'.encode()).hexdigest()[:16]}"


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Return a digest of the sources of compiled code: modules that use `compiled`, and the modules they import."""
    return code_digest(*importers_of("tinysegrank.compiled", "compiled"))


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Return the cache's folder for this state of the code, creating it if missing; None if none can be used.

    It is in the folder that NUMBA_CACHE_DIR names, or else in the user's cache folder. If that folder cannot be used,
    a warning is logged, and a private folder in the system's temporary folder is used instead.
    """
    reasons = []
    if chosen := os.environ.get(VARIABLE):
        first = _shared_base(chosen)
    else:
        first = Path(platformdirs.user_cache_dir("tinysegrank", appauthor=False), "compiled")
    for base in (first, _shared_base(tempfile.gettempdir())):
        folder = base / _state()
        try:
            is_new = not folder.is_dir()
            _make_private(folder)
            tempfile.TemporaryFile(dir=folder).close()
            os.utime(folder)  # mark it as used now, for `_remove_old`
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}" if error.strerror else str(error)
            reasons.append(f"{base}: compiled code cannot be cached there ({reason})")
            continue
        if is_new:
            _remove_old(base, folder)
        _warn([*reasons, f"it is cached in {base}"] if reasons else [])
        return folder
    _warn([*reasons, "it is compiled at every start, which takes minutes"])
    return None


@lru_cache(maxsize=1)
def _say_once() -> None:
    if multiprocessing.parent_process() is None:
        LOGGER.info("code is being compiled for this processor, once: about half a minute in all")


def _warn(parts: list[str]) -> None:
    if parts and multiprocessing.parent_process() is None:  # once, not in every worker process
        LOGGER.warning("%s; set %s to a folder that only you can write to", "; ".join(parts), VARIABLE)


def _state() -> str:
    """Return a digest of everything that machine code depends on."""
    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("NUMBA_") and k not in _INERT)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    processor = [str(part) for part in cpu_target.target_context.codegen().magic_tuple()]
    parts = [__version__, source_digest(), numba.__version__, python, *processor, *settings]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _shared_base(parent: str) -> Path:
    """Return the user's own subfolder of a folder that others may write to as well."""
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    return Path(parent).absolute() / f"tinysegrank{user}"


def _make_private(folder: Path) -> None:
    """Create a cache folder and its parent if missing, and check that nobody else can put files there.

    Raises:
        OSError: they cannot be created, or others can write to them or replace a folder above.
    """
    base = folder.parent
    if not base.is_absolute():
        raise OSError("the user has no home folder")
    base.parent.mkdir(parents=True, exist_ok=True)
    for path in (base, folder):
        path.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "geteuid"):
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
                raise OSError(f"{path} is not a folder of this user with mode 700")
    for path in base.resolve().parents:
        if path.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH and hasattr(os, "geteuid"):
            raise OSError(f"everyone can write to {path}")


def _remove_old(base: Path, folder: Path) -> None:
    """Remove folders in `base` other than `folder`, but keep the `KEPT` used last and all used within `LATELY`.

    A process that still uses a removed folder creates it again, and compiles again.
    """
    with suppress(OSError):  # another process may be removing them too
        used = {path: path.stat().st_mtime for path in base.iterdir() if path.is_dir() and path != folder}
        for path in sorted(used, key=used.__getitem__, reverse=True)[KEPT:]:
            if time.time() - used[path] > LATELY:
                shutil.rmtree(path, ignore_errors=True)
