"""Read and write text, JSON, and arrays as .npy, .npz and safetensors files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinysegrank.files.atomic import atomic_write
from tinysegrank.files.damage import reading

_ABOUT = "about"  # one string in the safetensors header: several would be stored in random order, so files would differ


def write_text(path: Path | str, text: str) -> None:
    """Write text to `path` as UTF-8, atomically; characters that UTF-8 cannot encode become "?"."""
    with atomic_write(path) as stream:
        stream.write(text.encode(errors="replace"))


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON to `path`, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


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
