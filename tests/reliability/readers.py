"""Every reader of files and texts, with good examples of what it reads, and changes that keep the format."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.fetching.published import annotation
from tests.reliability.mutations import Mutate, in_lines, in_safetensors, noise, some_of
from tests.reliability.mutations_binary import in_npy, in_pickle, in_png, in_protobuf, in_tar, in_zip
from tests.segnet.segnet_toys import write_caffemodel
from tinysegrank.config import from_dict, parse_assignments, to_toml
from tinysegrank.experiment import Silent
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.settings import Settings
from tinysegrank.fetching.archives import unpack
from tinysegrank.fetching.sbd import _mask
from tinysegrank.files import write_arrays
from tinysegrank.inputs import SETTINGS_FILE
from tinysegrank.ranking import load_fully_connected
from tinysegrank.segnet.weight_files import presets_of, read_weights, trunk_of
from tinysegrank.voc import parse_classes, read_image, read_labels, write_labels
from tinysegrank.voc.classes import read_classes
from tinysegrank.voc.split import read_split


class Example(NamedTuple):
    """A good file, by its content and its path under the reader's folder, and what reads it from there."""

    content: bytes
    path: str
    read: Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """A reader under test.

    Attributes:
        examples: good files; only one of them is changed at a time, and the others stay beside it.
        change: how a content is changed.
    """

    examples: Sequence[Example]
    change: Mutate


def readers_of_inputs(folder: Path, rng: np.random.Generator) -> dict[str, Reader]:
    """Make examples of what users give, and return the readers by name."""
    return {**_of_weights(folder / "weights", rng), **_of_data(folder / "data", rng), **_of_texts()}


def whole(path: Path, read: Callable[[Path], object]) -> Example:
    """Return a file as an example."""
    return Example(path.read_bytes(), path.name, read)


# Weights and data from elsewhere --------------------------------------------------------------------------------------


def _of_weights(folder: Path, rng: np.random.Generator) -> dict[str, Reader]:
    folder.mkdir(parents=True)
    arrays = {"conv1.weight": rng.standard_normal((4, 3, 2, 2), np.float32), "conv1.bias": np.ones(4, np.float32)}
    old = write_caffemodel(folder / "old", arrays, old=True, legacy=True, packed=False)
    new = write_caffemodel(folder / "new", arrays)
    write_arrays(folder / "safetensors", arrays)
    np.savez(folder / "stored.npz", **arrays)
    np.savez_compressed(folder / "compressed.npz", **arrays)
    with zipfile.ZipFile(folder / "torch.pth", "w") as archive:
        archive.writestr("archive/data.pkl", _torch_pickle(arrays))
        archive.writestr("archive/byteorder", b"little")
        for name, array in arrays.items():
            archive.writestr(f"archive/data/{name}", array.tobytes())
    zipped = [whole(folder / name, _read_weights) for name in ("stored.npz", "compressed.npz")]
    return {
        "caffemodel": Reader([whole(path, _read_weights) for path in (old, new)], some_of(noise, in_protobuf)),
        "torch": Reader(
            [whole(folder / "torch.pth", _read_weights)], some_of(noise, in_zip(some_of(in_pickle, noise)))
        ),
        "safetensors": Reader([whole(folder / "safetensors", _read_weights)], some_of(noise, in_safetensors)),
        "npz": Reader(zipped, some_of(noise, in_zip(some_of(in_npy, noise)))),
    }


def _read_weights(path: Path) -> None:
    presets_of(read_weights(path).arrays)
    load_fully_connected(path)
    trunk_of(path, "alexnet", {"conv1.weight": (4, 3, 2, 2), "conv1.bias": (4,)})


def _torch_pickle(arrays: Mapping[str, np.ndarray]) -> bytes:
    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def numbers(values: Sequence[int]) -> bytes:
        return b"(" + b"".join(b"M" + struct.pack("<H", value) for value in values) + b"t"

    out = b"\x80\x02ccollections\nOrderedDict\n)R("
    for name, array in arrays.items():
        steps = [step // array.itemsize for step in array.strides]
        storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(name) + text("cpu")
        out += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"M" + struct.pack("<H", array.size)
        out += b"tQK\0" + numbers(array.shape) + numbers(steps) + b"\x89ccollections\nOrderedDict\n)RtR"
    return out + b"u."


def _of_data(folder: Path, rng: np.random.Generator) -> dict[str, Reader]:
    folder.mkdir(parents=True)
    labels, pixels = rng.integers(0, 21, (17, 23)), rng.integers(0, 256, (17, 23, 3), dtype=np.uint8)
    write_labels(folder / "mask.png", labels.astype(np.uint8))
    Image.fromarray(labels.astype(np.uint8)).save(folder / "grey.png")
    photographs = []
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"):
        Image.fromarray(pixels).save(folder / kind, kind)
        photographs.append(whole(folder / kind, lambda path: read_image(path, upright=True)))
    exif = Image.Exif()
    exif[0x0112] = 6
    others = {"turned": Image.fromarray(pixels), "cmyk": Image.new("CMYK", (9, 8)), "grey": Image.new("L", (9, 8))}
    for name, image in others.items():
        image.save(folder / name, "JPEG", exif=exif, progressive=True)
        photographs.append(whole(folder / name, lambda path: read_image(path, upright=True)))
    for mode in ("RGBA", "I;16", "1", "LA", "P"):
        Image.new(mode, (9, 8)).save(folder / mode.replace(";", ""), "PNG")
        photographs.append(whole(folder / mode.replace(";", ""), read_image))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("VOCdevkit/a.txt", "VOCdevkit/b/c.png", "VOCdevkit/d.bin"):
            member = tarfile.TarInfo(name)
            member.size = 700
            tar.addfile(member, io.BytesIO(rng.bytes(700)))
    (folder / "NAME.jpg").write_bytes((folder / "JPEG").read_bytes())
    mat = Example(annotation(labels.astype(np.uint8)), "NAME.mat", _read_annotation)
    return {
        "mask": Reader(
            [whole(folder / name, read_labels) for name in ("mask.png", "grey.png")], some_of(noise, in_png, in_png)
        ),
        "photograph": Reader(photographs, lambda content, draw: _in_photograph(content, draw)),
        "archive": Reader([Example(packed.getvalue(), "archive.tar", _unpack)], some_of(noise, in_tar)),
        "annotation": Reader([mat, Example((folder / "JPEG").read_bytes(), "NAME.jpg", lambda path: None)], noise),
    }


def _in_photograph(content: bytes, draw: Any) -> bytes:
    return (in_png if content.startswith(b"\x89PNG") and draw.random() < 0.7 else noise)(content, draw)


def _read_annotation(path: Path) -> None:
    _mask(path.read_bytes(), str(path), path.with_suffix(".jpg"))


def _unpack(path: Path) -> None:
    import shutil

    target = path.with_name("unpacked")
    target.mkdir()
    try:
        unpack(path, target, progress=Silent())
        assert all(one.resolve().is_relative_to(target.resolve()) for one in target.rglob("*"))
    finally:
        shutil.rmtree(target)
    assert {one.name for one in path.parent.iterdir()} <= {path.name}, "a file outside the folder"


# Texts ----------------------------------------------------------------------------------------------------------------


def _of_texts() -> dict[str, Reader]:
    toml = to_toml(Settings()).encode()
    assignments = b'training.start.steps=2000\nreport.classes=[0, 8]\nranking.blocks=["segnet"]\ndata.voc=/a b\nseed=3'
    in_text = some_of(noise, in_lines)
    return {
        "split": Reader([Example(b"2007_000032\n2007_000039\nname\n", "val.txt", read_split)], in_text),
        "settings": Reader([Example(toml, f"run/{SETTINGS_FILE}", _read_settings)], some_of(noise, in_lines, in_lines)),
        "--set": Reader([Example(assignments, "set", _assign)], some_of(noise, in_lines, in_lines)),
        "class file": Reader([Example(b"weed 0 128 0\ncrop #00ff00\nsoil\n", "classes.txt", read_classes)], in_text),
        "class list": Reader([Example(b"background,cat,9", "classes", _classes)], in_text),
    }


def _read_settings(path: Path) -> None:
    read_run(path.parent, jobs=1, progress=Silent())


def _assign(path: Path) -> None:
    lines = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")  # as Python decodes a command line
    from_dict(Settings, parse_assignments(lines))


def _classes(path: Path) -> None:
    parse_classes(path.read_bytes().decode("utf-8", "surrogateescape"))
