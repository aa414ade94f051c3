"""Read and write text, JSON, and arrays as .npy, .npz and safetensors files.

Each function that reads raises a CheckpointError that names the file if the file is missing, damaged or unreadable;
each that writes raises an OutputError that names the file if it cannot be written, as `atomic_write` does.
"""

from __future__ import annotations

import json
from collections import UserDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from tinysegrank.errors import CheckpointError, ConfigError, ShapeError, TinySegRankError, brief, explain_os_error
from tinysegrank.files.atomic import atomic_write
from tinysegrank.stamps import check_file

_ABOUT = "about"  # one string in the safetensors header: several would be stored in random order, so files would differ
_OF_CONTENT = (CheckpointError, ConfigError, ShapeError)  # errors that what a file holds can cause where it is used


@contextmanager
def reading(
    path: Path | str,
    raises: type[TinySegRankError] = CheckpointError,
    *,
    fault: str = "is damaged",
    remedy: str = "delete it and run again",
) -> Iterator[None]:
    """Turn errors raised in the block, which reads a file and interprets its content, into errors that name the file.

    NumPy, zip, JSON, pickle, SciPy and PIL raise nearly every kind of exception for damaged content. An error of the
    class `raises` passes unchanged, and so does one of the library's own that no content can cause, such as a
    BackendError.

    Args:
        path: the file.
        raises: class of the error raised instead.
        fault: words of the message for damaged content.
        remedy: words of the message on what to do about damaged content.

    Raises:
        CheckpointError: the file belongs to a run, and differs from the digest in the run's stamp.json.
    """
    try:
        check_file(path)
        yield
    except Exception as error:
        if isinstance(error, raises) or (isinstance(error, TinySegRankError) and not isinstance(error, _OF_CONTENT)):
            raise
        if isinstance(error, CheckpointError) and error.__cause__ is None:  # the file differs from its stamp
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
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return brief(str(error).strip().partition("\n")[0].rstrip(":")) or type(error).__name__


def write_text(path: Path | str, text: str) -> None:
    """Write text to `path` as UTF-8, atomically; characters that UTF-8 cannot encode become "?"."""
    with atomic_write(path) as stream:
        stream.write(text.encode(errors="replace"))


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON to `path`, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file."""
    with reading(path):
        return json.loads(Path(path).read_text(encoding="utf-8"))


def write_array(path: Path | str, array: np.ndarray) -> None:
    """Write one NumPy array as a .npy file, atomically."""
    with atomic_write(path) as stream:
        np.save(stream, array, allow_pickle=False)


def read_array(path: Path | str, *, mapped: bool = False) -> np.ndarray:
    """Read a .npy file; with `mapped`, memory-map it read-only instead of reading all of it."""
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
    """Open a .npz file as a mapping of names to arrays; each array is read when it is looked up, inside the block."""
    with reading(path), Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        yield _Members(arrays)


class _Members(UserDict[str, np.ndarray]):
    """The arrays of an open .npz file; a member that isn't an array is an error, where NumPy returns its bytes."""

    def __init__(self, arrays: Any) -> None:
        self.data = arrays

    def __getitem__(self, name: str) -> np.ndarray:
        if not isinstance(array := self.data[name], np.ndarray):
            raise ValueError(f"{name} is not an array")
        return array


def write_arrays(path: Path | str, arrays: Mapping[str, np.ndarray], *, about: Mapping[str, str] | None = None) -> None:
    """Write named NumPy arrays as one safetensors file, atomically; its header holds `about` as JSON."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    metadata = {_ABOUT: json.dumps(dict(about or {}), sort_keys=True)}
    with atomic_write(path) as stream:
        stream.write(safetensors.numpy.save(contiguous, metadata=metadata))


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """Read the arrays of a safetensors file, by name."""
    with reading(path):
        return safetensors.numpy.load(Path(path).read_bytes())


def read_about(path: Path | str) -> dict[str, str]:
    """Return the strings of `about`, which `write_arrays` stored in a safetensors file's header; {} if it has none."""
    with reading(path), safetensors.safe_open(str(path), framework="numpy") as stream:
        about = json.loads((stream.metadata() or {}).get(_ABOUT, "{}"))
        return {name: value for name, value in about.items() if isinstance(value, str)}
