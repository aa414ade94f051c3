"""Read the arrays of a torch checkpoint without torch, and without running code from the file.

Source: torch.save's zip format (torch 1.6 and later). FOLDER/data.pkl is a pickle of nested dictionaries in which a
tensor is a call of torch._utils._rebuild_tensor_v2 on a storage; the storage with key K is the file FOLDER/data/K, its
numbers in the byte order of FOLDER/byteorder, stored uncompressed.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from tinysegrank.errors import WeightsError
from tinysegrank.files import reading

_STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
PICKLE = "data.pkl"
_SAVE = "torch.save(model.state_dict(), FILE)"


def read_torch(path: Path | str) -> dict[str, np.ndarray]:
    """Read a state dict, or a dictionary with one as "state_dict", from a file that torch.save (1.6 or later) wrote.

    Entries that are not tensors are ignored. Only calls that build tensors are carried out; any other is an error.

    returns | name to array | dtype as stored | a name's leading "module.", from data parallelism, is removed

    Raises:
        WeightsError: the file is missing, damaged or a whole model, has no named tensor, or has one whose dtype NumPy
            lacks.
    """
    fault, remedy = "cannot be read as a torch checkpoint", f"download it again, or save the state dict alone: {_SAVE}"
    with reading(path, WeightsError, fault=fault, remedy=remedy), ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.split("/")[1:] == [PICKLE]]
        if len(pickles) != 1:
            raise ValueError(f"it holds {len(pickles)} files FOLDER/{PICKLE}")
        with archive.open(pickles[0]) as stream:
            content = _Tensors(stream, archive, pickles[0].removesuffix(PICKLE)).load()
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    tensors = {} if not isinstance(content, Mapping) else content
    arrays = {str(name).removeprefix("module."): a for name, a in tensors.items() if isinstance(a, np.ndarray)}
    if not arrays:
        raise WeightsError(f"{path}: holds no named tensors; save a state dict: {_SAVE}")
    return arrays


class _Tensors(pickle.Unpickler):
    """An unpickler that can call only functions that rebuild tensors."""

    def __init__(self, stream: Any, archive: ZipFile, folder: str) -> None:
        super().__init__(stream)
        self._archive, self._folder = archive, folder
        names = {info.filename for info in archive.infolist()}
        little = f"{folder}byteorder" not in names or archive.read(f"{folder}byteorder") == b"little"
        self._order, self._storages = "<" if little else ">", dict[str, np.ndarray]()

    def find_class(self, module: str, name: str) -> Any:
        """Return what replaces a name that tensors need, made anew so that no file can modify it; refuse the others."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return partial(_rebuild_tensor)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return partial(lambda data, *_: data)
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which isn't a tensor")

    def persistent_load(self, pid: Any) -> np.ndarray:
        """Return the storage of an id ("storage", type, key, device, size) as a flat array; each is read once."""
        kind, code, key, _, count = pid
        if kind != "storage" or not isinstance(key, str):
            raise ValueError(f"it refers to {kind!r}")
        if key not in self._storages:
            info, dtype = self._archive.getinfo(f"{self._folder}data/{key}"), np.dtype(f"{self._order}{code}")
            if info.compress_type != ZIP_STORED or info.file_size != count * dtype.itemsize:
                raise ValueError(f"storage {key} is compressed or has {info.file_size} bytes, not {count} numbers")
            self._storages[key] = np.frombuffer(self._archive.read(info), dtype)
        return self._storages[key]


def _rebuild_tensor(storage: np.ndarray, offset: int, size: Any, stride: Any, *_: Any) -> np.ndarray:
    numbers = (offset, *size, *stride)
    if not all(type(number) is int and number >= 0 for number in numbers) or len(size) != len(stride):
        raise ValueError(f"a tensor of size {size} and strides {stride}")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and (last >= len(storage) or np.prod(size, dtype=object) > len(storage)):
        raise ValueError(f"a tensor of size {size} and strides {stride} is larger than its {len(storage)} numbers")
    steps = [step * storage.itemsize for step in stride]
    view = np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)
    return view.astype(storage.dtype.newbyteorder("="))
