"""A split of PASCAL VOC, or of any folder laid out like it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.parallel import parallel_map
from tinysegrank.voc.classes import VOID
from tinysegrank.voc.images import read_image
from tinysegrank.voc.labels import read_labels

SMALLEST_SIDE = 13  # one pixel a tile of the coarse grid
_SHOWN = 5


class Sample(NamedTuple):
    """One image with its labels.

    image  | (H, W, 3) | uint8 | R, G, B
    labels | (H, W)    | uint8 | 0..20, or 255 where void
    """

    name: str
    image: np.ndarray
    labels: np.ndarray


class VOCSegmentation:
    """The images and label maps that a split file names.

    Files: ROOT/ImageSets/Segmentation/SPLIT.txt (a name a line), ROOT/JPEGImages/NAME.jpg, ROOT/MASKS/NAME.png.

    Args:
        root: the folder that holds JPEGImages/, in the devkit VOCdevkit/VOC2012.
        split: name of the split file without its ending: "train", "val", ...
        limit: take only the first so many names.
        masks: folder of the label maps; None for a split without them, such as the devkit's "test".

    Attributes:
        root: as given.
        split: as given.
        names: image names in the split file's order.

    Raises:
        DatasetError: a folder, the split file or an image's file is missing, or the split is empty or names one twice.
        ConfigError: the limit is below 1.
    """

    def __init__(
        self, root: Path | str, split: str, *, limit: int | None = None, masks: str | None = "SegmentationClass"
    ) -> None:
        if limit is not None and limit < 1:
            raise ConfigError(f"limit: {limit} images; give 1 or more, or None for all")
        self.root = Path(root)
        self.split = split
        self.masks = masks
        if not (self.root / "JPEGImages").is_dir():
            raise DatasetError(f"{self.root}: holds no folder JPEGImages; {_where_else(self.root)}")
        self.names = _read_split(split_file(root, split))[:limit]
        self._require("JPEGImages", ".jpg")
        if masks is not None:
            self._require(masks, ".png")

    def _require(self, folder: str, ending: str) -> None:
        place = self.root / folder
        there = {path.name for path in place.iterdir()} if place.is_dir() else set()
        missing = [f"{folder}/{name}{ending}" for name in self.names if name + ending not in there]
        if missing:
            raise DatasetError(
                f"{self.root}: split {self.split!r}: {len(missing)} of {len(self.names)} files are missing:"
                f" {_first(missing)}; unpack the data set again, or take the names out of the split file"
            )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read one image and its labels; raises DatasetError where they are damaged or differ in size."""
        image, labels = self.image(index), self.labels(index)
        if image.shape[:2] != labels.shape:
            raise DatasetError(f"{self.labels_path(index)}: {_sizes(image, labels)}; the mask is another image's")
        return Sample(self.names[index], image, labels)

    def image_path(self, index: int) -> Path:
        """Return where an image's photograph is."""
        return self.root / "JPEGImages" / f"{self.names[index]}.jpg"

    def labels_path(self, index: int) -> Path:
        """Return where an image's label map is; DatasetError for a split without them."""
        if self.masks is None:
            raise DatasetError(f"{self.root}: split {self.split!r} was opened without label maps (masks=None)")
        return self.root / self.masks / f"{self.names[index]}.png"

    def image(self, index: int) -> np.ndarray:
        """Read an image: (H, W, 3) uint8 RGB; DatasetError where it is damaged."""
        return read_image(self.image_path(index))

    def labels(self, index: int) -> np.ndarray:
        """Read a label map: (H, W) uint8, 0..20 or 255 where void; DatasetError where it is damaged."""
        return read_labels(self.labels_path(index))

    def instances(self, index: int) -> np.ndarray | None:
        """Read an image's numbers of objects: (H, W) uint8, 0 none, 255 void; None where SegmentationObject/ lacks it.

        Raises:
            DatasetError: the file is damaged.
        """
        path = self.root / "SegmentationObject" / f"{self.names[index]}.png"
        return read_labels(path, num_classes=VOID) if path.is_file() else None

    def check(self, *, jobs: int = 1) -> str:
        """Decode every file, so that no damaged one ends long work half way, and return the data's fingerprint.

        The fingerprint is a SHA-256 over the names and the bytes of all files, in the split's order.

        Args:
            jobs: number of processes.

        Raises:
            DatasetError: files are damaged, a mask differs in size from its image, or an image is smaller than the
                coarse grid; the first few are named, each with what is wrong.
        """
        pairs = [
            (self.image_path(i), None if self.masks is None else self.labels_path(i)) for i in range(len(self.names))
        ]
        results = list(parallel_map(_examine, pairs, jobs=jobs))
        problems = [result.problem for result in results if result.problem]
        if problems:
            raise DatasetError(
                f"{self.root}: split {self.split!r}: {len(problems)} of {len(self.names)} images cannot be used: "
                + "; ".join(problems[:_SHOWN])
                + ("; ..." if len(problems) > _SHOWN else "")
                + ". Replace these files, or take their names out of the split file"
            )
        whole = sha256()
        for name, result in zip(self.names, results, strict=True):
            whole.update(f"{name}\n{result.digest}\n".encode())
        return whole.hexdigest()


class _Examined(NamedTuple):
    problem: str
    digest: str


def _examine(paths: tuple[Path, Path | None]) -> _Examined:
    image_path, labels_path = paths
    try:
        image = read_image(image_path)
        if min(image.shape[:2]) < SMALLEST_SIDE:
            raise DatasetError(f"{image_path}: {image.shape[1]} x {image.shape[0]}, a side is below {SMALLEST_SIDE}")
        digest = sha256(image_path.read_bytes())
        if labels_path is not None:
            labels = read_labels(labels_path)
            if image.shape[:2] != labels.shape:
                raise DatasetError(f"{labels_path}: {_sizes(image, labels)}")
            digest.update(labels_path.read_bytes())
    except DatasetError as error:
        return _Examined(str(error), "")
    return _Examined("", digest.hexdigest())


def split_file(root: Path | str, split: str) -> Path:
    """Return where the names of a split's images are."""
    return Path(root) / "ImageSets" / "Segmentation" / f"{split}.txt"


def _read_split(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        there = sorted(other.stem for other in path.parent.glob("*.txt"))
        known = f"there are {', '.join(there)}" if there else "that folder has no split files"
        raise DatasetError(f"{path}: there is no such split; {known}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: is not a readable text file ({error})") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DatasetError(f"{path}: names no images; write one name a line")
    odd = [name for name in names if len(name.split()) > 1 or "/" in name or "\\" in name]
    if odd:
        raise DatasetError(f"{path}: {len(odd)} lines are not one bare image name: {_first(odd)}")
    if len(set(names)) < len(names):
        twice = sorted(name for name in set(names) if names.count(name) > 1)
        raise DatasetError(f"{path}: names {len(twice)} images more than once: {_first(twice)}; remove the copies")
    return tuple(names)


def _where_else(root: Path) -> str:
    for inner in ("VOCdevkit/VOC2012", "VOC2012", "VOC2007"):
        if (root / inner / "JPEGImages").is_dir():
            return f"give {root / inner}"
    return "give the folder that does, in the devkit VOCdevkit/VOC2012"


def _first(items: list[str]) -> str:
    return ", ".join(items[:_SHOWN]) + (", ..." if len(items) > _SHOWN else "")


def _sizes(image: np.ndarray, labels: np.ndarray) -> str:
    return f"{labels.shape[1]} x {labels.shape[0]} labels for an image of {image.shape[1]} x {image.shape[0]}"
