"""Store proposals: one folder per image, one palette PNG per proposal. Other programs can write the same layout.

ROOT/NAME/00.png, 01.png, ... are the labels, best first. Two files are optional: ROOT/NAME/scores.json with the
proposals' scores, and ROOT/NAME/segments.json with the segments that each was pasted from.
"""

from __future__ import annotations

import json
import math
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinysegrank.errors import DatasetError, brief
from tinysegrank.files import read_json, reading, write_json, writing
from tinysegrank.inputs import names_in
from tinysegrank.links import check_link, check_links
from tinysegrank.proposals.divmbest import PastedSegments, Proposal
from tinysegrank.voc import VOC, Classes, check_labels, read_labels, write_labels
from tinysegrank.voc.images import opened

SCORES = "scores.json"
SEGMENTS = "segments.json"
_AS_WRITTEN = "make it as ProposalStore.write does, or leave the file out"


class ProposalStore:
    """The proposals of many images. An image's folder is complete or absent, so that work can be resumed.

    Args:
        root: folder of the images' folders; created by the first write.
        classes: classes of the labels.
    """

    def __init__(self, root: Path | str, classes: Classes = VOC) -> None:
        self.root = Path(root)
        self.classes = classes

    def write(self, name: str, proposals: Sequence[Proposal]) -> None:
        """Write the proposals of an image in their order, replacing earlier ones.

        Raises:
            DatasetError: `name` is not a bare name, there is no proposal, they differ in size, a label is not a class,
                or a score is infinite.
            ShapeError: labels are not (H, W) or not integers.
            OutputError: the folder cannot be written.
        """
        target = self.folder(name)
        if not proposals:
            raise DatasetError(f"{name}: has no proposal to write; an image needs at least one")
        _check({f"proposal {m} of {name}": proposal.labels for m, proposal in enumerate(proposals)}, self.classes)
        if any(math.isinf(proposal.score) for proposal in proposals):
            raise DatasetError(f"{name}: has an infinite score; give finite ones, or NaN where it is unknown")
        token = secrets.token_hex(6)
        unfinished, replaced = (self.root / f".{name}.{token}.{what}" for what in ("tmp", "old.tmp"))
        try:
            digits = max(2, len(str(len(proposals) - 1)))
            for m, proposal in enumerate(proposals):
                write_labels(unfinished / f"{m:0{digits}}.png", proposal.labels, self.classes)
            write_json(unfinished / SCORES, [float(proposal.score) for proposal in proposals])
            if any(proposal.segments is not None for proposal in proposals):
                write_json(unfinished / SEGMENTS, [_to_json(proposal.segments) for proposal in proposals])
            with writing(target):
                if target.exists():
                    target.rename(replaced)
                unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.rmtree(replaced, ignore_errors=True)

    def read(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Read the proposals of an image, in the order of their files' numbers, which may have gaps.

        labels | (M, H, W) | uint8   | 0..K-1
        scores | (M,)      | float64 | larger is better; NaN where unknown

        Raises:
            DatasetError: `paths` raises it, a file is damaged, sizes differ, a pixel is void, or the scores are not
                one number for each, finite or NaN.
        """
        labels = {str(path): read_labels(path, self.classes) for path in self.paths(name)}
        _check(labels, self.classes)
        return np.stack(list(labels.values())), self.read_scores(name)

    def read_scores(self, name: str) -> np.ndarray:
        """Read the scores of an image's proposals, in the order of `read`.

        returns | (M,) | float64 | larger is better; NaN where unknown, all NaN if there is no scores.json

        Raises:
            DatasetError: `paths` raises it, or scores.json is not a list of one number for each, finite or NaN.
        """
        count, path = len(self.paths(name)), self.folder(name) / SCORES
        if not path.exists():
            return np.full(count, np.nan)
        scores = _read_list(path, count)
        for score in scores:
            if not _is_finite(score) and score == score:  # NaN differs from itself
                raise DatasetError(
                    f"{path}: {_show(score)} is not a score; give {count} numbers, one for each proposal, NaN where"
                    " unknown, or leave the file out"
                )
        return np.array(scores, np.float64)

    def read_segments(self, name: str) -> list[PastedSegments | None]:
        """Read the segments that each proposal of an image was pasted from, in the order of `read`.

        An entry is None if the proposal is from an engine without segments; all are None if there is no segments.json.

        Raises:
            DatasetError: `paths` raises it, or segments.json is damaged or does not have one entry for each
                proposal, with classes of 1..K-1, finite scores, and no more pixels than the image has.
        """
        paths, path = self.paths(name), self.folder(name) / SEGMENTS
        if not path.exists():
            return [None] * len(paths)
        entries = _read_list(path, len(paths))
        with opened(paths[0]) as first:
            area = first.width * first.height
        found = []
        for m, entry in enumerate(entries):
            fault = f"entry {m} is neither null nor lists of classes, scores and pixels of equal length"
            with reading(path, DatasetError, fault=fault, remedy=_AS_WRITTEN):
                found.append(None if entry is None else _from_json(entry, area, len(self.classes)))
        return found

    def paths(self, name: str) -> list[Path]:
        """Return the label files of an image, sorted by number.

        Raises:
            DatasetError: there are none, a file's name is not a number, a link leads out of the folder, or `name` is
                not a bare name.
        """
        folder = self.folder(name)
        check_link(folder, self.root, DatasetError)
        check_links(folder, DatasetError)
        paths = [folder / name for name in names_in(folder) if name.endswith(".png")]
        if not paths:
            raise DatasetError(f"{folder}: holds no proposal; write them as 00.png, 01.png, ... there")
        odd = [path.name for path in paths if not (path.stem.isascii() and path.stem.isdigit())]
        if odd:
            raise DatasetError(f"{folder}: {min(odd)} is not a number and .png; number the proposals, best first")
        return sorted(paths, key=lambda path: (int(path.stem), path.stem))

    def path(self, name: str, number: int) -> Path:
        """Return the label file of the proposal in row `number` of `read`.

        Raises:
            DatasetError: there is no such proposal, or `paths` raises it.
        """
        paths = self.paths(name)
        if not 0 <= number < len(paths):
            raise DatasetError(f"{self.folder(name)}: there is no proposal {number} of {len(paths)}")
        return paths[number]

    def folder(self, name: str) -> Path:
        """Return the folder of an image's proposals; if it exists, it is complete.

        Raises:
            DatasetError: `name` is not a bare name: it has a slash, begins with a dot, or is empty.
        """
        if not name or name[0] == "." or "/" in name or "\\" in name:
            raise DatasetError(f"{name!r} is not a bare image name; leave out folder and ending")
        return self.root / name


def _read_list(path: Path, count: int) -> list[Any]:
    """Read a JSON list of `count` entries, one for each proposal; raise DatasetError for anything else."""
    with reading(path, DatasetError):
        entries = read_json(path)
    if not isinstance(entries, list) or len(entries) != count:
        raise DatasetError(f"{path}: must be a list with {count} entries, one for each proposal, or be absent")
    return entries


def _to_json(segments: PastedSegments | None) -> dict[str, list[float]] | None:
    return (
        None if segments is None else {name: np.asarray(values).tolist() for name, values in segments._asdict().items()}
    )


def _from_json(entry: Any, area: int, num_classes: int) -> PastedSegments:
    """Check and return one proposal's segments; raise AttributeError, TypeError or ValueError if the entry is bad."""
    classes, scores, pixels = (entry.get(name) for name in PastedSegments._fields)
    if not len(classes) == len(scores) == len(pixels):
        raise ValueError(f"{len(classes)} classes, {len(scores)} scores, {len(pixels)} pixels")
    for k in classes:
        if type(k) is not int or not 1 <= k < num_classes:
            raise ValueError(f"class {_show(k)} is not in 1..{num_classes - 1}")
    for score in scores:
        if not _is_finite(score):
            raise ValueError(f"score {_show(score)} is not a finite number")
    for count in pixels:
        if type(count) is not int or count < 0:
            raise ValueError(f"{_show(count)} is not a number of pixels")
    if sum(pixels) > area:
        raise ValueError(f"{sum(pixels)} pixels of an image of {area}")
    return PastedSegments(np.array(classes, np.int64), np.array(scores, np.float64), np.array(pixels, np.int64))


def _is_finite(value: object) -> bool:
    """Return whether a JSON value is a finite float, or an int below 2**53 in magnitude; a boolean is neither."""
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**53)


def _show(value: object) -> str:
    return brief(json.dumps(value), 40)


def _check(labels: dict[str, np.ndarray], classes: Classes) -> None:
    """Raise DatasetError unless label maps, by name, have one size, and all their labels are classes."""
    first, expected = next((name, array.shape) for name, array in labels.items())
    for name, array in labels.items():
        if array.shape != expected:
            raise DatasetError(
                f"{name}: size {array.shape} differs from {expected} of {first}; make all as large as the image"
            )
        check_labels(array, num_classes=len(classes), void=None, name=name)
