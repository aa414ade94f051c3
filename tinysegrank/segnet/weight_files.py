"""Read a classifier's weights from a .caffemodel, torch, .safetensors or .npz file, told apart by its content."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np

from tinysegrank.errors import WeightsError, brief, explain_os_error
from tinysegrank.files import read_arrays, read_compressed, reading
from tinysegrank.segnet.caffemodel import read_caffemodel
from tinysegrank.segnet.presets import PRESETS
from tinysegrank.segnet.torch_checkpoint import PICKLE, read_torch

_ASK = "give a .caffemodel, a torch checkpoint (.pth), a .safetensors or a .npz file"
_TORCHVISION = {
    "features.0": "conv1",
    "features.3": "conv2",
    "features.6": "conv3",
    "features.8": "conv4",
    "features.10": "conv5",
    "classifier.1": "fc6",
    "classifier.4": "fc7",
    "classifier.6": "fc8",
}
_FOREIGN = {
    b"\x89HDF": "an HDF5 file, as Keras writes",
    b"\x80\x02": "a pickle, perhaps a torch checkpoint from before torch 1.6: load it there and torch.save it again",
    b"<": "a web page",
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull`",
    b"name:": "a text file, perhaps a .prototxt, which describes a network and holds no weights",
    b"\x1f\x8b": "a gzip archive: unpack it",
}


class WeightFile(NamedTuple):
    """The kind of a weight file in words, such as "a .npz file", and its arrays: "conv1.weight", "conv1.bias", ..."""

    kind: str
    arrays: dict[str, np.ndarray]


def read_weights(path: Path | str) -> WeightFile:
    """Read a .caffemodel, a torch checkpoint, a .safetensors or a .npz file.

    Arrays of torchvision's AlexNet get the names of Caffe's layers; other names are kept.

    Raises:
        WeightsError: the file is missing, damaged or of another kind, or holds arrays that are not numeric.
    """
    try:
        with Path(path).open("rb") as stream:
            start, size = stream.read(64), stream.seek(0, 2)
    except OSError as error:
        raise WeightsError(explain_os_error(path, error)) from error
    if not size:
        raise WeightsError(f"{path}: is empty; {_ASK}")
    for begins, what in _FOREIGN.items():
        if start.startswith(begins):
            raise WeightsError(f"{path}: is {what}; {_ASK}")
    if start.startswith(b"PK\3\4"):
        kind, arrays = _read_zip(path)
    elif 2 <= int.from_bytes(start[:8], "little") <= size - 8 and start[8:9] == b"{":
        with _reading(path):
            kind, arrays = "a safetensors file", read_arrays(path)
    else:
        kind, arrays = "a .caffemodel", read_caffemodel(path)
    if odd := next(
        (f"{brief(name, 40)} of {array.dtype}" for name, array in arrays.items() if array.dtype.kind not in "fiub"), ""
    ):
        raise WeightsError(f"{path}: holds {odd}, which are not weights; {_ASK}")
    return WeightFile(kind, {_caffe_name(name): array for name, array in arrays.items()})


def _read_zip(path: Path | str) -> tuple[str, dict[str, np.ndarray]]:
    with _reading(path, "is a damaged zip file"), ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith(f"/{PICKLE}") for name in names):
        return "a torch checkpoint", read_torch(path)
    if any(name.endswith(".npy") for name in names):
        with _reading(path), read_compressed(path) as arrays:
            return "a .npz file", dict(arrays)
    raise WeightsError(f"{path}: is a zip archive without arrays; unpack it, and {_ASK}")


def _reading(path: Path | str, fault: str = "is damaged") -> AbstractContextManager[None]:
    return reading(path, WeightsError, fault=fault, remedy="download the file again")


def _caffe_name(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    return f"{_TORCHVISION[layer]}.{kind}" if layer in _TORCHVISION else name


def trunk_of(path: Path | str, preset: str, expected: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Read conv1 to conv5 of a weight file, as float32; other layers in the file are ignored.

    Args:
        path: the file.
        preset: name of the network's preset, for messages.
        expected: shape of each parameter.

    Raises:
        WeightsError: the file cannot be read (see `read_weights`), lacks a layer or has another architecture, or a
            parameter is NaN or infinite, or a layer's weights are all 0.
    """
    kind, arrays = read_weights(path)
    fits = [name for name in presets_of(arrays) if name != preset]
    for name, shape in expected.items():
        if name not in arrays:
            some = brief(", ".join(list(arrays)[:16])) + (", ..." if len(arrays) > 16 else "")
            raise WeightsError(f"{path}: has no {name}; it holds {some}. Give the weights of an AlexNet or CaffeNet")
        if arrays[name].shape != shape:
            raise WeightsError(
                f"{path}: {name} is {arrays[name].shape}, but the preset {preset} needs {shape}; this is {kind}"
                + (f"; use --preset {' or '.join(fits)}" if fits else " of another network")
            )
    with np.errstate(over="ignore"):  # infinity is found below
        trunk = {name: arrays[name].astype(np.float32) for name in expected}
    if fault := fault_in(trunk):
        raise WeightsError(f"{path}: {fault}; download the file again, or give another")
    return trunk


def presets_of(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of the presets whose conv1 to conv5 have weights of the shapes of these arrays."""
    found = []
    for name, preset in PRESETS.items():
        channels = [3, *(shape.filters for shape in preset.convolutions)]
        wanted = {
            f"conv{n}.weight": (shape.filters, channels[n - 1] // shape.groups, shape.size, shape.size)
            for n, shape in enumerate(preset.convolutions, start=1)
        }
        if all(key in arrays and arrays[key].shape == size for key, size in wanted.items()):
            found.append(name)
    return found


def fault_in(parameters: Mapping[str, np.ndarray]) -> str | None:
    """Describe the first parameter that has a NaN or infinity, or is a weight and all 0; return None if there is none.

    parameters | name to array | floating | "layer.weight" and "layer.bias"; a bias may be 0
    """
    for name, array in parameters.items():
        if not np.all(np.isfinite(array)):
            return f"{name} holds NaN or infinity"
        if name.endswith(".weight") and not np.any(array):
            return f"{name} is 0 everywhere"
    return None
