"""A split of PASCAL VOC, or of a data set of one's own laid out like it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.files import reading
from tinysegrank.inputs import check_data
from tinysegrank.links import check_links
from tinysegrank.parallel import parallel_map
from tinysegrank.voc.census import Census
from tinysegrank.voc.classes import VOC, VOID, Classes
from tinysegrank.voc.images import read_image
from tinysegrank.voc.masks import MASK_ENDINGS, MASKS, Mask, classes_of, read_labels, read_mask
from tinysegrank.voc.split import PHOTOGRAPHS, files_by_stem, first_few, read_split, split_file

_INSTANCES = "SegmentationObject"
SMALLEST_SIDE = 13  # one pixel per tile of the coarse grid
_OBJECTS = Classes(("background", *(f"object {number}" for number in range(1, VOID))))  # of an instance map


class Sample(NamedTuple):
    """One image with its labels.

    image  | (H, W, 3) | uint8 | R, G, B
    labels | (H, W)    | uint8 | 0..K-1, or 255 where void
    """

    name: str
    image: np.ndarray
    labels: np.ndarray


class VOCSegmentation:
    """The images and label maps that a split file names.

    Files: ROOT/ImageSets/Segmentation/SPLIT.txt (one name per line), ROOT/JPEGImages/NAME.jpg, ROOT/MASKS/NAME.png.
    Photographs may also end in .jpeg, .png, .bmp, .tif, .tiff or .webp. All endings may be in capitals.

    Args:
        root: folder that contains JPEGImages/, in the devkit VOCdevkit/VOC2012.
        split: name of the split file without its ending: "train", "val", ...
        limit: use only the first `limit` names; None for all.
        masks: name of the folder of label maps; None for a split without them, such as the devkit's "test".
        classes: classes of the data; by default those of the folder, see `classes_of`.

    Attributes:
        root, split, masks, classes: the arguments.
        names: image names in the order of the split file.

    Raises:
        DatasetError: a folder or an image's file is missing, two files differ only in the ending, or a link in a folder
            of images or masks leads out of it; for the split file see `read_split`.
        ConfigError: the limit is below 1, or the folder's classes are needed and refused by `classes_of`.
    """

    def __init__(
        self,
        root: Path | str,
        split: str,
        *,
        limit: int | None = None,
        masks: str | None = MASKS,
        classes: Classes | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ConfigError(f"limit: {limit} images; give 1 or more, or None for all")
        self.root = check_data(Path(root))
        self.split = split
        self.masks = masks
        self.classes = classes_of(root) if classes is None else classes
        self.names = read_split(split_file(root, split))[:limit]
        self._photographs = self._require("JPEGImages", PHOTOGRAPHS)
        self._label_maps = {} if masks is None else self._require(masks, MASK_ENDINGS)
        check_links(self.root / _INSTANCES, DatasetError, deep=False)

    def _require(self, folder: str, endings: tuple[str, ...]) -> dict[str, str]:
        """Return the file of each image in a folder, by image name; raise a DatasetError if one is missing."""
        there = files_by_stem(self.root / folder, endings)
        if missing := [f"{folder}/{name}{endings[0]}" for name in self.names if name not in there]:
            raise DatasetError(
                f"{self.root}: split {self.split!r}: {len(missing)} of {len(self.names)} files are missing:"
                f" {first_few(missing)}; add them, or take their names out of the split file"
            )
        return {name: there[name] for name in self.names}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read one image and its labels.

        Raises:
            DatasetError: one is damaged, their sizes differ, or the split was opened without label maps.
        """
        image, labels = self.image(index), self.labels(index)
        _check_sizes(self.labels_path(index), image, labels)
        return Sample(self.names[index], image, labels)

    def image_path(self, index: int) -> Path:
        """Return the path of an image's photograph."""
        return self.root / "JPEGImages" / self._photographs[self.names[index]]

    def labels_path(self, index: int) -> Path:
        """Return the path of an image's label map; raises DatasetError for a split without them."""
        if self.masks is None:
            raise DatasetError(f"{self.root}: split {self.split!r} was opened without label maps (masks=None)")
        return self.root / self.masks / self._label_maps[self.names[index]]

    def instances_path(self, index: int) -> Path:
        """Return the path of an image's instance map, which need not exist."""
        return self.root / _INSTANCES / f"{self.names[index]}.png"

    def image(self, index: int) -> np.ndarray:
        """Read an image: (H, W, 3) uint8 RGB; raises DatasetError if it is damaged."""
        return read_image(self.image_path(index))

    def labels(self, index: int) -> np.ndarray:
        """Read a label map: (H, W) uint8, 0..K-1 or 255 where void; raises DatasetError if it is damaged."""
        return read_labels(self.labels_path(index), self.classes)

    def instances(self, index: int) -> np.ndarray | None:
        """Read an instance map: (H, W) uint8, number of the object, 0 none, 255 void; None if there is no file.

        Raises:
            DatasetError: it is damaged.
        """
        path = self.instances_path(index)
        return read_labels(path, _OBJECTS) if path.is_file() else None

    def check(self, *, jobs: int = 1, advance: Callable[[int], None] | None = None) -> Checked:
        """Decode every file, so that no damaged one stops long work half way; return a fingerprint and label counts.

        Args:
            jobs: number of processes.
            advance: called with 1 for each image decoded.

        Raises:
            DatasetError: files are damaged, a mask differs in size from its image, or an image is smaller than the
                coarse grid; the first few are named, each with its fault. Or the masks' palettes contradict each other,
                or no mask has an object.
        """
        files = [
            (self.image_path(i), self.labels_path(i) if self.masks else None, self.instances_path(i))
            for i in range(len(self))
        ]
        problems, whole, census = [], sha256(), Census(self.classes)
        if self.classes != VOC:
            whole.update(repr(self.classes.lines()).encode())
        examined = parallel_map(partial(_examine, self.classes), files, jobs=jobs, advance=advance)
        for name, of_image, (problem, digest, mask) in zip(self.names, files, examined, strict=True):
            if problem:
                problems.append(problem)
            if of_image[1] and mask:
                census.add(of_image[1], mask)
            whole.update(f"{name}\n{digest}\n".encode())
        if problems:
            raise DatasetError(
                f"{self.root}: split {self.split!r}: {len(problems)} of {len(self.names)} images cannot be used: "
                f"{first_few(problems, '; ')}. Replace these files, or take their names out of the split file"
            )
        if self.masks is not None:
            census.refuse_other_palette()
            census.refuse_no_object(f"split {self.split!r}")
        return Checked(whole.hexdigest(), census)


class Checked(NamedTuple):
    """Result of `VOCSegmentation.check`."""

    fingerprint: str  # SHA-256 over names and bytes of images and masks in order, and classes that are not VOC's
    census: Census  # of the labels in the masks; `str` of it is a line to show


def _examine(classes: Classes, files: tuple[Path, Path | None, Path]) -> tuple[str, str, Mask | None]:
    """Decode an image's files: photograph, mask or None, and instance map, which need not exist.

    Return the fault or "", the SHA-256 of photograph and mask, and the mask without its labels. An error of the
    operating system is raised, as the file may be sound.
    """
    (image_path, labels_path, instances_path), mask = files, None
    try:
        image = read_image(image_path)
        if min(image.shape[:2]) < SMALLEST_SIDE:
            raise DatasetError(f"{image_path}: {image.shape[1]} x {image.shape[0]}, a side is below {SMALLEST_SIDE}")
        digest = sha256(_read_bytes(image_path))
        if labels_path is not None:
            mask = read_mask(labels_path, classes)
            _check_sizes(labels_path, image, mask.labels)
            mask = mask.without_labels()
            digest.update(_read_bytes(labels_path))
        if instances_path.is_file():
            _check_sizes(instances_path, image, read_labels(instances_path, _OBJECTS))
    except DatasetError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
            raise
        return str(error), "", None
    return "", digest.hexdigest(), mask


def _read_bytes(path: Path) -> bytes:
    with reading(path, DatasetError):
        return path.read_bytes()


def _check_sizes(path: Path, image: np.ndarray, labels: np.ndarray) -> None:
    """Raise a DatasetError if a label map, read from `path`, differs in size from its image."""
    if image.shape[:2] == labels.shape:
        return
    turned = image.shape[1::-1] == labels.shape
    advice = " (if its EXIF data turns the photograph, save it upright)" if turned else ""
    sizes = f"{labels.shape[1]} x {labels.shape[0]} labels for an image of {image.shape[1]} x {image.shape[0]}"
    raise DatasetError(f"{path}: {sizes}{advice}")
