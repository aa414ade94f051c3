"""Atomic writes: a file is either absent, as it was, or complete, whatever interrupts the program."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np

from tinysegrank.errors import CheckpointError, OutputError, explain_os_error

_TEMPORARY = ".tmp"
_ABOUT = "about"  # one string in a safetensors header: several would come in any order, and files differ by it


@contextmanager
def writing(path: Path | str, *, reads: bool = False) -> Iterator[None]:
    """Enclose work that writes `path`: what the operating system refuses becomes an error that names it.

    Args:
        path: as the user gave it.
        reads: the work also reads other files; an error that names a file is about one of those, and passes.

    Raises:
        OutputError: the path cannot be written.
        BrokenPipeError: it is a pipe that nobody reads any more.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, BrokenPipeError) or (reads and error.filename is not None):
            raise
        full = error.errno is None and " requested and " in str(error)  # NumPy wrote less than it wanted to
        told = OSError(errno.ENOSPC, str(error)) if full else error
        raise OutputError(explain_os_error(path, told, action="written")) from error


def destination(path: Path | str) -> Path | None:
    """Find the file that writing to `path` makes or replaces: through symbolic links, which stay.

    Returns:
        The file; None where `path` is a character device or a pipe, such as /dev/stdout, which is written into.

    Raises:
        OutputError: it is a folder, a socket or a disk, or cannot be looked up.
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
    """Open a temporary file beside `path`; on leaving the block it is flushed to disk and renamed to `path`.

    Folders above `path` are made. If the block raises, the temporary file is removed and `path` stays as it was. A
    symbolic link stays, and the file that it leads to is replaced. A device or a pipe is written into as it is.

    Raises:
        OutputError: the path cannot be written, or is a folder.
    """
    target = destination(path)
    if target is None:
        with writing(path):
            stream = os.fdopen(os.open(path, os.O_WRONLY), "wb")
        with writing(path, reads=True), stream:
            yield stream
        return
    temporary = target.with_name(f".{secrets.token_hex(8)}{_TEMPORARY}")  # short: that of the file may be the longest
    with writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = temporary.open("xb")
    try:
        with writing(path, reads=True), stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        with writing(path):
            temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def is_temporary(path: Path) -> bool:
    """Return whether a file is one that `atomic_write` left behind when its process was killed."""
    return path.name.startswith(".") and path.name.endswith(_TEMPORARY)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text to `path`, atomically; what of a file's name in it is not UTF-8 becomes "?"."""
    with atomic_write(path) as stream:
        stream.write(text.encode(errors="replace"))


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON to `path`, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


_SPOILT = (ValueError, KeyError, TypeError, EOFError, OverflowError, SyntaxError, TokenError, BadZipFile, zlib.error)
"""What NumPy, zip and JSON raise on a file that is not what it was; further ones of theirs are subclasses."""


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Enclose the reading of a file that a run wrote: what goes wrong becomes an error that names the file.

    Raises:
        CheckpointError: the file is missing, damaged, or cannot be read at the moment.
    """
    from safetensors import SafetensorError

    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: is missing; repeat the command that makes it") from error
    except OSError as error:
        if error.errno is None:  # how NumPy and PIL report damage
            raise CheckpointError(_damage(path, error)) from error
        raise CheckpointError(explain_os_error(path, error)) from error
    except (*_SPOILT, SafetensorError) as error:
        raise CheckpointError(_damage(path, error)) from error


def _damage(path: Path | str, error: Exception) -> str:
    said = " ".join(str(error).split())[:120] or type(error).__name__
    return f"{path}: is damaged ({said}); delete it and run again"


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        CheckpointError: the file is missing, damaged, or cannot be read.
    """
    with reading(path):
        return json.loads(Path(path).read_text(encoding="utf-8"))


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Write one NumPy array as a .npy file, atomically."""
    with atomic_write(path) as stream:
        np.save(stream, array, allow_pickle=False)


def read_array(path: Path | str, *, mapped: bool = False) -> np.ndarray:
    """Read a .npy file.

    Args:
        path: the file.
        mapped: map it into memory, read-only, instead of reading it whole.

    Raises:
        CheckpointError: the file is missing, damaged, or cannot be read.
    """
    with reading(path):
        array: np.ndarray = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds several arrays")
        return array


def write_compressed(path: Path | str, **arrays: np.ndarray) -> None:
    """Write named arrays as one compressed .npz file, atomically."""
    with atomic_write(path) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # its stub mixes them with an option


@contextmanager
def read_compressed(path: Path | str) -> Iterator[Mapping[str, np.ndarray]]:
    """Open a .npz file; an array is read when it is asked for, inside the block.

    Raises:
        CheckpointError: the file is missing, damaged, lacks an array that is asked for, or cannot be read.
    """
    with reading(path), Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        yield arrays


def write_arrays(path: Path | str, arrays: Mapping[str, np.ndarray], *, about: Mapping[str, str] | None = None) -> None:
    """Write named NumPy arrays, and a few strings `about` them, as one safetensors file, atomically."""
    from safetensors.numpy import save

    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with atomic_write(path) as stream:
        stream.write(save(contiguous, metadata={_ABOUT: json.dumps(dict(about or {}), sort_keys=True)}))


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """Read the arrays of a safetensors file.

    Raises:
        CheckpointError: the file is missing, damaged, or cannot be read.
    """
    from safetensors.numpy import load

    with reading(path):
        arrays: dict[str, np.ndarray] = load(Path(path).read_bytes())
    return arrays


def read_about(path: Path | str) -> dict[str, str]:
    """Read the strings stored in a safetensors file's header.

    Raises:
        CheckpointError: the file is missing, damaged, or cannot be read.
    """
    from safetensors import safe_open

    with reading(path), safe_open(str(path), framework="numpy") as stream:
        return dict(json.loads((stream.metadata() or {}).get(_ABOUT, "{}")))
