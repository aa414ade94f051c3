"""Archives laid out like the published ones, made of a toy VOC."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy.io import savemat

from tinysegrank.experiment import Silent
from tinysegrank.voc import VOCSegmentation, make_toy_voc

SBD_ONLY = ("2008_000007", "2008_000008")


def voc_archive(folder: Path, *, train: int = 3, val: int = 2) -> Path:
    """VOCtrainval, with two photographs that only SBD annotates."""
    root = folder / "VOCdevkit" / "VOC2012"
    make_toy_voc(root, train=train, val=val, seed=1)
    photograph = VOCSegmentation(root, "val").image_path(0).read_bytes()
    for name in SBD_ONLY:
        (root / "JPEGImages" / f"{name}.jpg").write_bytes(photograph)
    archive = folder / "VOCtrainval_11-May-2012.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(folder / "VOCdevkit", "VOCdevkit")
    return archive


def annotation(mask: np.ndarray) -> bytes:
    """A cls/NAME.mat."""
    stream = io.BytesIO()
    savemat(stream, {"GTcls": {"Segmentation": mask, "Boundaries": [0], "CategoriesPresent": [1]}})
    return stream.getvalue()


def sbd_masks(root: Path) -> dict[str, np.ndarray]:
    """A mask of one class for an image of VOC's train, one of its val, and the two that are SBD's alone."""
    train, val = VOCSegmentation(root, "train"), VOCSegmentation(root, "val")
    names = (train.names[0], val.names[0], *SBD_ONLY)
    shapes = (train.labels(0).shape, *[val.labels(0).shape] * 3)
    return {n: np.full(shape, 4 + k, np.uint8) for k, (n, shape) in enumerate(zip(names, shapes, strict=True))}


def add_file(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(content))


def sbd_archive(path: Path, annotations: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in annotations.items():
            add_file(tar, f"benchmark_RELEASE/dataset/cls/{name}.mat", content)
            add_file(tar, f"benchmark_RELEASE/dataset/inst/{name}.mat", b"of no use here")
    return path


class Recorded(Silent):
    """Keeps what was counted, [what, total, units], and said."""

    def __init__(self) -> None:
        self.counts: list[list[object]] = []
        self.said: list[str] = []

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        done: list[int] = []
        try:
            yield done.append
        finally:
            self.counts.append([what, total, sum(done)])

    def say(self, text: str) -> None:
        self.said.append(text)
