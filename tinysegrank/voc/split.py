"""Read the image names in a split file, list the files of a folder by name, and assign images to folds."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

import numpy as np

from tinysegrank.errors import ConfigError, DatasetError, brief
from tinysegrank.files import reading
from tinysegrank.inputs import names_in
from tinysegrank.links import check_links

_SHOWN = 5
PHOTOGRAPHS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_SAVE_AS = "save it as UTF-8, one name per line"
_AUGMENTED = ", or get SBD, for VOC's images: `tinysegrank fetch sbd --to FOLDER`, the folder of VOCdevkit"


def split_file(root: Path | str, split: str) -> Path:
    """Return the path of the file that lists a split's images."""
    return Path(root) / "ImageSets" / "Segmentation" / f"{split}.txt"


def read_split(path: Path) -> tuple[str, ...]:
    """Read the image names in a split file, in order.

    Raises:
        DatasetError: there is no such file, it is not UTF-8 text with one bare name per line, it is empty, or a name is
            duplicated.
    """
    with reading(path, DatasetError, fault="cannot be used", remedy=_SAVE_AS):
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            there = sorted(other.stem for other in path.parent.glob("*.txt"))
            known = (
                f"there are {', '.join(there)}" if there else "that folder has no split files; write one name per line"
            )
            raise DatasetError(f"{path}: there is no such split; {known}{_advice(path.stem, there)}") from error
        if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" in content:
            raise DatasetError(f"{path}: is UTF-16 text; {_SAVE_AS}")
        text = content.decode("utf-8-sig")  # drops the byte order mark that some editors write
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise DatasetError(f"{path}: names no images; write one name per line")
    odd = [brief(name, 30) for name in names if not _bare(name)]
    if odd:
        raise DatasetError(
            f"{path}: {len(odd)} lines are not one bare image name: {first_few(odd)}; write the name alone, such as"
            " 2007_000032, without a folder, an ending or a second column"
        )
    if len(set(names)) < len(names):
        twice = sorted(brief(name, 30) for name, count in Counter(names).items() if count > 1)
        raise DatasetError(f"{path}: names {len(twice)} images more than once: {first_few(twice)}; remove the copies")
    return tuple(names)


def _advice(split: str, there: list[str]) -> str:
    """Return advice for a message about a missing split: the most similar one in `there`, or "" if none is."""
    near = get_close_matches(split.removesuffix("_aug"), there, n=1)
    if not near:
        return ""
    if split == "train_aug":
        return f"; pass --set data.train={near[0]}{_AUGMENTED}"
    return f"; did you mean {near[0]}?"


def _bare(name: str) -> bool:
    return not (len(name.split()) > 1 or "/" in name or "\\" in name or name.lower().endswith(PHOTOGRAPHS))


def files_by_stem(folder: Path, endings: tuple[str, ...]) -> dict[str, str]:
    """Return the names of a folder's files with one of these endings, or the same in capitals, by their stems.

    A missing folder has none.

    Raises:
        DatasetError: two files differ only in the ending, a link leads out of the folder, or it cannot be listed.
    """
    check_links(folder, DatasetError, deep=False)
    found: dict[str, str] = {}
    for name in sorted(names_in(folder)):
        stem, dot, ending = name.rpartition(".")
        if dot + ending.lower() in endings and found.setdefault(stem, name) != name:
            raise DatasetError(f"{folder / name}: {found[stem]} is there too; remove one, as a split file names {stem}")
    return found


def first_few(items: Sequence[object] | np.ndarray, separator: str = ", ") -> str:
    """Return the first five items as text, with "..." if there are more."""
    return separator.join(map(str, items[:_SHOWN])) + (f"{separator}..." if len(items) > _SHOWN else "")


def assign_folds(names: Sequence[str], count: int, *, seed: int) -> np.ndarray:
    """Assign each image to one of `count` folds, whose sizes differ by at most one.

    returns | (len(names),) | int64 | 0..count-1, the fold of each name

    The fold of a name depends on the set of names and on the seed, not on their order or the NumPy version: names are
    sorted by the SHA-256 of seed and name, then dealt out in turn. An image and its mirror image share a name, so they
    share a fold.

    Raises:
        ConfigError: fewer than two folds, or more folds than names.
        DatasetError: a name is duplicated.
    """
    if not 2 <= count <= len(names):
        raise ConfigError(f"folds: {count} folds of {len(names)} images; choose from 2 to the number of images")
    if len(set(names)) != len(names):
        raise DatasetError("names: an image is duplicated, and would be tested on itself; list each image once")
    order = sorted(range(len(names)), key=lambda index: sha256(f"{seed}/{names[index]}".encode()).digest())
    folds = np.empty(len(names), np.int64)
    folds[order] = np.arange(len(names)) % count
    return folds
