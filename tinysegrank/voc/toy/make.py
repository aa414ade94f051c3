"""A toy PASCAL VOC on disk in the devkit's layout, and toy images of single objects for classification."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tinysegrank.cluster import check_shared
from tinysegrank.errors import ConfigError, DatasetError, brief
from tinysegrank.files import atomic_write, read_json, reading, write_json, write_text
from tinysegrank.outputs import check_folder
from tinysegrank.parallel import parallel_map
from tinysegrank.voc.classes import NUM_CLASSES
from tinysegrank.voc.dataset import SMALLEST_SIDE, VOCSegmentation
from tinysegrank.voc.labels import write_labels
from tinysegrank.voc.toy.scene import draw_object, draw_scene

_MARKER = "toyvoc.json"
_DRAWINGS = 1  # count up when a drawing changes, so that a folder never mixes two versions
_STREAMS = {"train": 0, "val": 1, "classes": 2, "objects": 3}  # of random numbers


class ToyVOC(NamedTuple):
    """The two splits of a toy VOC."""

    train: VOCSegmentation
    val: VOCSegmentation


class _Scene(NamedTuple):
    root: Path
    split: str
    seed: int
    number: int
    size: tuple[int, int]

    @property
    def name(self) -> str:
        return f"toy{self.seed}_{self.split}_{self.number:06d}"


def make_toy_voc(
    root: Path | str,
    *,
    train: int,
    val: int,
    seed: int,
    size: tuple[int, int] = (160, 240),
    jobs: int = 1,
    advance: Callable[[int], None] | None = None,
) -> ToyVOC:
    """Draw a toy VOC: JPEGImages/, SegmentationClass/ and the split files train, val and trainval.

    Each image depends on seed, split, its number and `size` alone, so a smaller toy VOC is the beginning of a larger
    one. In an existing toy VOC only missing images are drawn, and the split files are updated.

    Args:
        root: the folder that will contain JPEGImages/; created if missing.
        train, val: number of images of each split.
        seed: 0 or above; another seed gives other images.
        size: shortest and longest side that an image may have, in pixels.
        jobs: number of processes; the files are the same for any number.
        advance: called with 1 for each image done.

    Raises:
        ConfigError: a number is out of range, or a Dask worker doesn't see the folder.
        DatasetError: the folder is in use for something else, or holds a toy VOC of other sizes or another version.
        OutputError: the folder cannot be written.
    """
    root = Path(root)
    if train < 1 or val < 1 or seed < 0:
        raise ConfigError(f"train: {train}, val: {val}, seed: {seed}; draw one image or more of each, from seed 0 up")
    if not SMALLEST_SIDE <= size[0] <= size[1]:
        raise ConfigError(f"size: {size}; give a shortest side of at least {SMALLEST_SIDE} and a longest not below it")
    _claim(root, {"drawings": _DRAWINGS, "size": list(size)})
    check_shared(root)
    counts, place = {"train": train, "val": val}, root.absolute()
    scenes = {split: [_Scene(place, split, seed, i, size) for i in range(count)] for split, count in counts.items()}
    for _ in parallel_map(_draw_to_disk, scenes["train"] + scenes["val"], jobs=jobs, advance=advance):
        pass
    scenes["trainval"] = scenes["train"] + scenes["val"]
    for split, those in scenes.items():
        file, text = root / "ImageSets" / "Segmentation" / f"{split}.txt", "".join(f"{each.name}\n" for each in those)
        if not file.is_file() or file.read_text() != text:  # a finished toy VOC may be on a read-only disk
            write_text(file, text)
    return ToyVOC(VOCSegmentation(root, "train"), VOCSegmentation(root, "val"))


def _claim(root: Path, made_by: dict[str, object]) -> None:
    """Mark a new or empty folder as a toy VOC with these options; raise a DatasetError if it is something else."""
    if root.exists() and not root.is_dir():
        raise DatasetError(f"{root}: is a file; give a folder")
    marker = root / _MARKER
    if marker.exists():
        with reading(marker, DatasetError):
            found = read_json(marker)
        if found != made_by:
            raise DatasetError(
                f"{root}: contains a toy VOC with other options ({brief(found, 60)}, wanted {made_by});"
                " choose another folder or delete this one"
            )
    elif root.is_dir() and any(root.iterdir()):
        raise DatasetError(f"{root}: contains files that are not a toy VOC; choose a new or an empty folder")
    else:
        check_folder(root, named=root)
        write_json(marker, made_by)


def _draw_to_disk(scene: _Scene) -> None:
    image_path = scene.root / "JPEGImages" / f"{scene.name}.jpg"
    labels_path = scene.root / "SegmentationClass" / f"{scene.name}.png"
    if image_path.exists() and labels_path.exists():
        return
    rng = np.random.default_rng([scene.seed, _STREAMS[scene.split], scene.number])
    image, labels = draw_scene(rng, size=scene.size)
    with atomic_write(image_path) as stream:
        Image.fromarray(image).save(stream, format="JPEG", quality=90)
    write_labels(labels_path, labels)


def toy_classification(
    count: int, *, seed: int, size: int, jobs: int = 1, advance: Callable[[int], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of one main object each, for pre-training a network to classify.

    images  | (count, size, size, 3) | uint8 | R, G, B
    classes | (count,)               | int64 | 1..20; the numbers of images of two classes differ by at most one

    Args:
        seed: 0 or above; the objects differ from those of `make_toy_voc` with the same seed.
        size: side of an image, in pixels.
        jobs: number of processes; the images are the same for any number.
        advance: called with 1 for each image drawn.

    Raises:
        ConfigError: a number is out of range.
    """
    if count < 1 or seed < 0 or size < SMALLEST_SIDE:
        raise ConfigError(f"count: {count}, seed: {seed}, size: {size}; give 1, 0 and {SMALLEST_SIDE} or above")
    order = np.random.default_rng([seed, _STREAMS["classes"]]).permutation(count)
    classes = 1 + order % (NUM_CLASSES - 1)
    images = np.empty((count, size, size, 3), np.uint8)
    draw, wanted = partial(_draw_wanted, seed, size), enumerate(classes.tolist())
    for index, image in enumerate(parallel_map(draw, wanted, jobs=jobs, on_cluster=False, advance=advance)):
        images[index] = image
    return images, classes


def _draw_wanted(seed: int, size: int, wanted: tuple[int, int]) -> np.ndarray:
    number, label = wanted
    return draw_object(np.random.default_rng([seed, _STREAMS["objects"], number]), label, size=size)
