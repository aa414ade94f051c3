"""Atomic writes: a file is either absent, as it was, or complete, whatever interrupts the program."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinysegrank.errors import CheckpointError

_ABOUT = "about"  # one string in a safetensors header: several would come in any order, and files differ by it


@contextmanager
def atomic_write(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; on leaving the block it is flushed to disk and renamed to `path`.

    Folders above `path` are made. If the block raises, the temporary file is removed and `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text to `path`, atomically."""
    with atomic_write(path) as stream:
        stream.write(text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON to `path`, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        CheckpointError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); run the stage that writes it first"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path}: is damaged ({error}); delete it and run again") from error


def write_arrays(path: Path | str, arrays: Mapping[str, np.ndarray], *, about: Mapping[str, str] | None = None) -> None:
    """Write named NumPy arrays, and a few strings `about` them, as one safetensors file, atomically."""
    from safetensors.numpy import save

    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with atomic_write(path) as stream:
        stream.write(save(contiguous, metadata={_ABOUT: json.dumps(dict(about or {}), sort_keys=True)}))


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """Read the arrays of a safetensors file.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, np.ndarray] = load(Path(path).read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); run the stage that writes it first"
        ) from error
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: is not a whole safetensors file ({error}); delete it and run again") from error
    return arrays


def read_about(path: Path | str) -> dict[str, str]:
    """Read the strings stored in a safetensors file's header.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as stream:
            return dict(json.loads((stream.metadata() or {}).get(_ABOUT, "{}")))
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: is not a whole safetensors file ({error}); delete it and run again") from error
