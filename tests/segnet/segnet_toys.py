"""Small networks, stores and weight files for the tests of SegNet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinysegrank.backend import Backend, to_numpy
from tinysegrank.segnet import FeatureStore, Preset, SegNet, TrainingOptions, train
from tinysegrank.segnet.presets import ConvShape
from tinysegrank.voc.preprocess import Preprocessing

CLASSES = 4
CHANNELS = 8


def thin_preset(*, size: int, kernel: int, stride: int, between: tuple[str, ...] = ("pool", "norm")) -> Preset:
    """The geometry of a real trunk with hardly any filters; the kernel and stride are conv1's."""
    convolutions = (
        ConvShape(4, kernel, stride=stride),
        ConvShape(6, 5, padding=2, groups=2),
        ConvShape(CHANNELS, 3, padding=1),
        ConvShape(CHANNELS, 3, padding=1, groups=2),
        ConvShape(CHANNELS, 3, padding=1, groups=2),
    )
    preprocessing = Preprocessing(size=size, mean=(0.45, 0.45, 0.45), std=(0.25, 0.25, 0.25), scale=1 / 255)
    return Preset(convolutions, between=between, preprocessing=preprocessing, head=(8, 6))


THIN = {
    "thin": thin_preset(size=113, kernel=5, stride=2),
    "thin-alexnet": thin_preset(size=113, kernel=5, stride=2, between=("norm", "pool")),
    "thin-caffenet": thin_preset(size=227, kernel=11, stride=4),
}


def thin_model(seed: int = 0, **options: object) -> SegNet:
    return SegNet(CLASSES, "thin", rng=np.random.default_rng(seed), **options)


def in_float64(model: SegNet) -> SegNet:
    model.assign({name: np.asarray(array, np.float64) for name, array in model.parameters.items()})
    return model


def toy_store(folder: Path, *, images: int = 10, chunk: int = 3, mirrors: bool = True, seed: int = 0) -> FeatureStore:
    """A store whose first channels tell the class; soft targets, and cells that are partly or wholly void."""
    rng = np.random.default_rng(seed)
    store = FeatureStore(folder, images=images, mirrors=mirrors, chunk=chunk)
    for number in range(store.chunks):
        rows = len(store.members(number)) * (2 if mirrors else 1)
        classes = np.kron(rng.integers(0, CLASSES, (rows, 4, 4)), np.ones((4, 4), int))[:, :13, :13]
        truth = np.eye(CLASSES)[classes]  # (rows, 13, 13, K)
        features = np.abs(rng.normal(0, 0.1, (rows, CHANNELS, 13, 13)))
        features[:, :CLASSES] += truth.transpose(0, 3, 1, 2)
        store.write(
            number,
            {
                "features": features.astype(np.float16),
                "targets": (0.9 * truth + 0.1 / CLASSES).astype(np.float32),
                "weights": rng.choice([0.0, 0.5, 1.0], (rows, 13, 13), p=[0.1, 0.2, 0.7]).astype(np.float32),
            },
        )
    return store


def batch_of(store: FeatureStore, rows: np.ndarray | None = None, dtype: str = "float32") -> list[np.ndarray]:
    """Features, target (N, K, 13, 13) and weight of some rows."""
    features, targets, weights = (store.gather(kind, rows) for kind in ("features", "targets", "weights"))
    return [array.astype(dtype) for array in (features, targets.transpose(0, 3, 1, 2), weights)]


# Trainings on it ------------------------------------------------------------------------------------------------------

IMAGES = np.array([0, 1, 3, 4, 5, 6, 8])  # of ten, so that some are held out
OPTIONS = TrainingOptions(loss="uoi+ce", steps=12, rate=0.05, batch=5, min_mass=0.5)


def trained(store: FeatureStore, *, seed: int = 7, backend: Backend | None = None, **changes: Any) -> SegNet:
    model = thin_model(backend=backend)
    train(model, store, IMAGES, dataclasses.replace(OPTIONS, **changes), seed=seed)
    return model


def assert_same_bits(one: SegNet, other: SegNet) -> None:
    for name, array in one.parameters.items():
        np.testing.assert_array_equal(to_numpy(array), to_numpy(other.parameters[name]), err_msg=name, strict=True)


class Recording(FeatureStore):
    """Notes which rows are read."""

    def gather(self, kind: str, rows: np.ndarray | None = None) -> np.ndarray:
        assert rows is not None
        self.__dict__.setdefault("read", {}).setdefault(kind, []).append(np.array(rows))
        return super().gather(kind, rows)


# Caffe's weight files, written from the text of protobuf's encoding ---------------------------------------------------


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number % 128 + 128]), number // 128
    return out + bytes([number])


def tagged(field: int, value: int | bytes) -> bytes:
    """A number as a varint, bytes with their length."""
    if isinstance(value, int):
        return varint(8 * field) + varint(value)
    return varint(8 * field + 2) + varint(len(value)) + value


UNKNOWN = (  # a field of each wire type, of numbers that Caffe does not use
    varint(8 * 900 + 0) + varint(2**63 + 5),
    varint(8 * 901 + 1) + b"8 bytes.",
    varint(8 * 902 + 2) + varint(200) + bytes(range(200)),
    varint(8 * 903 + 5) + b"four",
)


def blob(array: np.ndarray, *, packed: bool = True, legacy: bool = False, unknown: Iterable[bytes] = ()) -> bytes:
    """A BlobProto; legacy has num, channels, height, width in place of a shape."""
    floats = np.asarray(array, "<f4").ravel()
    if packed:
        data = tagged(5, floats.tobytes())
    else:
        data = b"".join(varint(8 * 5 + 5) + number.tobytes() for number in floats)
    if legacy:
        sizes = (1,) * (4 - np.ndim(array)) + np.shape(array)
        shape = b"".join(tagged(field, size) for field, size in enumerate(sizes, start=1))
    elif packed:
        shape = tagged(7, tagged(1, b"".join(varint(size) for size in np.shape(array))) + b"".join(unknown))
    else:
        shape = tagged(7, b"".join(tagged(1, size) for size in np.shape(array)) + b"".join(unknown))
    return data + b"".join(unknown) + shape


def layer(name: str, blobs: Sequence[bytes], *, old: bool = False, unknown: Iterable[bytes] = ()) -> bytes:
    """A V1LayerParameter or a LayerParameter as a field of the net."""
    number, name_field, blobs_field = (2, 4, 6) if old else (100, 1, 7)
    parts = [tagged(name_field, name.encode()), *unknown, *(tagged(blobs_field, each) for each in blobs)]
    return tagged(number, b"".join(parts))


def write_caffemodel(path: Path, arrays: dict[str, np.ndarray], **options: bool) -> Path:
    """Write "layer.weight" and "layer.bias" arrays."""
    names = dict.fromkeys(name.split(".")[0] for name in arrays)
    old = options.pop("old", False)
    layers = [
        layer(name, [blob(arrays[f"{name}.{kind}"], **options) for kind in ("weight", "bias")], old=old)
        for name in names
    ]
    path.write_bytes(b"".join([tagged(1, b"a net"), *layers]))
    return path
