"""Read weights from a .caffemodel, with just enough of protobuf's wire format for Caffe's blobs.

Source: Caffe's caffe.proto. NetParameter has `layers` = 2 (V1LayerParameter: name = 4, blobs = 6) in old files and
`layer` = 100 (LayerParameter: name = 1, blobs = 7) in new ones. BlobProto: data = 5 (packed or repeated float), shape
= 7 (BlobShape: dim = 1), and in old files num, channels, height, width = 1..4. Wire format: a varint key, which is
field << 3 | type, and its value; type 0 is a varint, 1 eight bytes, 2 a length and its bytes, 5 four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tinysegrank.errors import WeightsError
from tinysegrank.files import reading

_LAYER_FIELDS = {2: (4, 6), 100: (1, 7)}  # field of the layer in the net -> fields of its name and its blobs
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def read_caffemodel(path: Path | str) -> dict[str, np.ndarray]:
    """Read the blobs of every layer NAME: the first as "NAME.weight", the second as "NAME.bias"; ignore others.

    returns | name to array | float32 | weights in the shape stored, such as (F, C/groups, KH, KW); biases (F,)

    Raises:
        WeightsError: the file is missing or damaged, or holds no layer with blobs.
    """
    arrays: dict[str, np.ndarray] = {}
    with reading(
        path, WeightsError, fault="is not a complete .caffemodel", remedy="download it again, or give a file of weights"
    ):
        for field, value in _fields(memoryview(Path(path).read_bytes())):
            if field in _LAYER_FIELDS and isinstance(value, memoryview):
                name, blobs = _layer(value, *_LAYER_FIELDS[field])
                for kind, blob in zip(("weight", "bias"), blobs, strict=False):
                    arrays[f"{name}.{kind}"] = blob.reshape(-1) if kind == "bias" else blob
    if not arrays:
        raise WeightsError(f"{path}: holds no layer with weights; give a trained .caffemodel, not a solver state")
    return arrays


def _layer(message: memoryview, name_field: int, blobs_field: int) -> tuple[str, list[np.ndarray]]:
    name, blobs = "", []
    for field, value in _fields(message):
        if field == name_field and isinstance(value, memoryview):
            name = str(value, "utf-8")
        elif field == blobs_field and isinstance(value, memoryview):
            blobs.append(_blob(value))
    return name, blobs


def _blob(message: memoryview) -> np.ndarray:
    parts, shape, old_shape = [], [], [1, 1, 1, 1]
    for field, value in _fields(message):
        if field == 5 and isinstance(value, memoryview):  # packed floats, or one float
            parts.append(np.frombuffer(value, "<f4"))
        elif field == 7 and isinstance(value, memoryview):
            shape = _dimensions(value)
        elif 1 <= field <= 4 and isinstance(value, int):
            old_shape[field - 1] = value
    data = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return data.astype(np.float32).reshape(shape or old_shape)


def _dimensions(message: memoryview) -> list[int]:
    dimensions = []
    for field, value in _fields(message):
        if field == 1 and isinstance(value, int):
            dimensions.append(value)
        elif field == 1 and isinstance(value, memoryview):  # packed varints
            place = 0
            while place < len(value):
                dimension, place = _varint(value, place)
                dimensions.append(dimension)
    return dimensions


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number and its value: an int for a varint, otherwise its bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        field, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, place = _varint(message, place)
            yield field, value
            continue
        if wire_type == _LENGTH:
            length, place = _varint(message, place)
        elif wire_type in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if wire_type == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"byte {place} does not belong to a protobuf field")
        if place + length > len(message):
            raise ValueError("it ends in the middle of a field")
        yield field, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Read a varint: seven bits per byte, lowest first, up to a byte below 128; return it and the index after it."""
    number = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("it ends in the middle of a number")
        byte = message[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place
