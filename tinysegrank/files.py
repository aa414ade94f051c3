"""Read and write files; writes are atomic: a file is either absent, unchanged or complete, even after a crash."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinysegrank.errors import (
    CheckpointError,
    ConfigError,
    OutputError,
    ShapeError,
    TinySegRankError,
    brief,
    explain_os_error,
)
from tinysegrank.stamps import check_file

_TEMPORARY = ".tmp"
_ABOUT = "about"  # one string in the safetensors header: several would be stored in random order, so files would differ


@contextmanager
def writing(path: Path | str, *, reads: bool = False) -> Iterator[None]:
    """Turn an OSError of the enclosed code, which writes `path`, into an OutputError that names the path.

    Args:
        path: path as the user gave it.
        reads: whether the code also reads other files; an OSError that has a file name is about one of those, and is
            not converted.

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

    Returns:
        The file; None if `path` is a character device or a pipe, such as /dev/stdout, which is written to directly.

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
    """Open a temporary file beside `path`; on leaving the block it is flushed to disk and renamed to `path`.

    Missing folders are created. If the block raises, the temporary file is removed and `path` stays unchanged; on Linux
    and most of its file systems, also if the process is killed. If `path` is a symbolic link, its target is replaced. A
    device or a pipe is written to directly.

    Raises:
        OutputError: the path cannot be written, or is a folder.
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
    """Open a new file; on Linux it has no name yet, so that it vanishes if the process is killed."""
    if hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").exists():
        with suppress(OSError):  # not every file system can do it
            return os.fdopen(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
    return path.open("xb")


def _name(stream: IO[bytes], path: Path) -> None:
    """Give an open file without a name its name."""
    number = stream.fileno()
    os.link(f"/proc/self/fd/{number}", path, src_dir_fd=number)  # with src_dir_fd, link follows symbolic links


def remove_temporary(folder: Path) -> None:
    """Remove temporary files and folders that killed processes left in a folder and those inside it."""
    for path in list(folder.rglob(f".*{_TEMPORARY}")):
        with suppress(FileNotFoundError):  # it was in another that is gone
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_text(path: Path | str, text: str) -> None:
    """Write text to `path` as UTF-8, atomically; characters that UTF-8 cannot encode become "?"."""
    with atomic_write(path) as stream:
        stream.write(text.encode(errors="replace"))


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON to `path`, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


_OF_CONTENT = (CheckpointError, ConfigError, ShapeError)
"""The library's own errors that what a file holds can cause where it is interpreted."""


@contextmanager
def reading(
    path: Path | str,
    raises: type[TinySegRankError] = CheckpointError,
    *,
    fault: str = "is damaged",
    remedy: str = "delete it and run again",
) -> Iterator[None]:
    """Turn errors of the enclosed code, which reads a file and interprets its content, into errors that name the file.

    For damaged content, NumPy, zip, JSON, pickle, SciPy and PIL raise nearly every kind of exception.

    Args:
        path: the file.
        raises: the error to raise instead. One that the enclosed code raises itself is not changed.
        fault: what the message says of a file whose content causes an error.
        remedy: what to do about it.

    Raises:
        CheckpointError: it is a file of a run, and is not as its stamp says.
    """
    try:
        check_file(path)
        yield
    except Exception as error:
        if isinstance(error, raises) or (isinstance(error, TinySegRankError) and not isinstance(error, _OF_CONTENT)):
            raise
        if isinstance(error, CheckpointError) and error.__cause__ is None:  # it is not as its stamp says
            raise
        cause = error.__cause__ if isinstance(error, CheckpointError) and error.__cause__ else error
        if isinstance(cause, FileNotFoundError) and raises is CheckpointError:
            said = f"{path}: is missing; repeat the command that makes it"
        elif isinstance(cause, OSError) and cause.errno is not None:  # without a number, the content is damaged
            said = explain_os_error(path, cause)
        elif isinstance(cause, MemoryError):
            said = f"{path}: {fault}, or too large for this computer's memory; {remedy}"
        else:
            said = f"{path}: {fault} ({_reason(cause)}); {remedy}"
        raise raises(said) from cause


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"{brief(error)} is missing"
    if isinstance(error, RecursionError):
        return "brackets in brackets"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return brief(str(error).strip().partition("\n")[0].rstrip(":")) or type(error).__name__


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
        mapped: memory-map the file, read-only, instead of reading all of it.

    Raises:
        CheckpointError: the file is missing, damaged, or cannot be read.
    """
    with reading(path):
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it holds several arrays")
        return array


def write_compressed(path: Path | str, **arrays: np.ndarray) -> None:
    """Write named arrays as one compressed .npz file, atomically."""
    with atomic_write(path) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # its stub mixes them with an option


@contextmanager
def read_compressed(path: Path | str) -> Iterator[Mapping[str, np.ndarray]]:
    """Open a .npz file as a mapping of names to arrays; each array is read when it is looked up, inside the block.

    Raises:
        CheckpointError: the file is missing, damaged, lacks an array that is looked up, or cannot be read.
    """
    with reading(path), Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        yield _Members(arrays)


class _Members(Mapping[str, np.ndarray]):
    """The arrays of an open .npz file; NumPy itself gives the bytes of what isn't an array."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = arrays

    def __getitem__(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{name} is not an array")
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def write_arrays(path: Path | str, arrays: Mapping[str, np.ndarray], *, about: Mapping[str, Any] | None = None) -> None:
    """Write named NumPy arrays, with `about`, as JSON, in the header, as one safetensors file, atomically."""
    from safetensors.numpy import save

    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with atomic_write(path) as stream:
        stream.write(save(contiguous, metadata={_ABOUT: json.dumps(dict(about or {}), sort_keys=True)}))


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """Read the arrays of a safetensors file, by name.

    Raises:
        CheckpointError: the file is missing, damaged, or cannot be read.
    """
    from safetensors.numpy import load

    with reading(path):
        return load(Path(path).read_bytes())


def read_about(path: Path | str) -> dict[str, str]:
    """Read the strings that `write_arrays` stored in a safetensors file's header.

    Raises:
        CheckpointError: the file is missing, damaged, or cannot be read.
    """
    from safetensors import safe_open

    with reading(path), safe_open(str(path), framework="numpy") as stream:
        about = json.loads((stream.metadata() or {}).get(_ABOUT, "{}"))
        return {name: value for name, value in about.items() if isinstance(value, str)}
