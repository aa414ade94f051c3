"""Read a field of a struct from a MATLAB file of version 5, as SBD's annotations are stored.

SciPy's reader of this format ends the process on some damaged files. Source: MathWorks, "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import islice

import numpy as np

_MATRIX, _COMPRESSED = 14, 15  # types of elements
_NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
_STRUCT, _NUMERIC = 2, range(6, 16)  # classes of matrices
_LARGEST = 1 << 24  # bytes of a variable; those of SBD have less than a million

_Element = tuple[int, memoryview]


def read_field(content: bytes, variable: str, field: str) -> np.ndarray:
    """Return the matrix of numbers in a field of the struct `variable`; of an array of structs, use the first.

    Raises:
        ValueError: the content is damaged, or the field isn't a matrix of numbers.
        zlib.error, IndexError: the content is damaged.
        KeyError: there is no such struct, or it has no such field.
    """
    if content[124:128] != b"\0\1IM":
        raise ValueError("it is not a MATLAB file of version 5")
    for element in _elements(memoryview(content)[128:]):
        kind, _, name, parts = _matrix(_unpacked(element))
        if kind == _STRUCT and name == variable.encode():
            (_, width), (_, names) = _take(parts, 2)
            length = int.from_bytes(width, "little")  # of each name, padded with zeros
            for start, part in zip(range(0, len(names), max(length, 1)), parts, strict=False):
                if bytes(names[start : start + length]).partition(b"\0")[0] == field.encode():
                    return _numbers(part)
            raise KeyError(field)
    raise KeyError(variable)


def _elements(data: memoryview) -> Iterator[_Element]:
    """Yield the type and content of each element in `data`, in order."""
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from("<II", data, place) if place + 8 <= len(data) else (0, 1)
        start = place + 8
        if kind > 0xFFFF:  # a short form: the size is in the upper half, and up to four bytes follow
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        end = start + size
        if end > len(data):
            raise ValueError("it is cut off")
        yield kind, data[start:end]
        place = end if kind == _COMPRESSED else end + -end % 8


def _unpacked(element: _Element) -> _Element:
    kind, data = element
    if kind != _COMPRESSED:
        return element
    stream = zlib.decompressobj()
    inner = stream.decompress(data, _LARGEST)
    if not stream.eof:
        raise ValueError("it is cut off or too large")
    return _take(_elements(memoryview(inner)), 1)[0]


def _take(parts: Iterator[_Element], count: int) -> list[_Element]:
    found = list(islice(parts, count))
    if len(found) < count:
        raise ValueError("it is cut off")
    return found


def _matrix(element: _Element) -> tuple[int, tuple[int, ...], bytes, Iterator[_Element]]:
    """Return the class, shape and name of a matrix, and an iterator over the elements after these."""
    kind, data = element
    if kind != _MATRIX:
        raise ValueError(f"it has an element of type {kind} for a matrix")
    parts = _elements(data)
    (_, flags), (_, shape), (_, name) = _take(parts, 3)
    return bytes(flags[:1])[0], tuple(np.frombuffer(shape, "<i4").tolist()), bytes(name), parts


def _numbers(element: _Element) -> np.ndarray:
    kind, shape, _, parts = _matrix(element)
    [(stored, data)] = _take(parts, 1)
    if kind not in _NUMERIC or stored not in _NUMBERS or min(shape, default=0) < 0:
        raise ValueError("it is not a matrix of numbers")
    return np.frombuffer(data, _NUMBERS[stored]).reshape(shape, order="F")
