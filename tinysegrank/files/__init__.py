"""Read and write files; writes are atomic, and errors of reading name the file."""

from __future__ import annotations

from tinysegrank.files.atomic import atomic_write, destination, remove_temporary, writing
from tinysegrank.files.formats import (
    read_about,
    read_array,
    read_arrays,
    read_compressed,
    read_json,
    reading,
    write_array,
    write_arrays,
    write_compressed,
    write_json,
    write_text,
)

__all__ = [
    "atomic_write",
    "destination",
    "read_about",
    "read_array",
    "read_arrays",
    "read_compressed",
    "read_json",
    "reading",
    "remove_temporary",
    "write_array",
    "write_arrays",
    "write_compressed",
    "write_json",
    "write_text",
    "writing",
]
