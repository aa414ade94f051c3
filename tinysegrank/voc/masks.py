"""Read label maps: palette PNGs like PASCAL VOC's, palette PNGs of other tools, grey PNGs, and RGB PNGs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.voc.classes import BACKGROUND, CLASSES_FILE, VOC, VOID, Classes, read_classes
from tinysegrank.voc.images import opened
from tinysegrank.voc.split import files_by_stem, first_few

MASKS = "SegmentationClass"
MASK_ENDINGS = (".png",)
BY_NUMBER, BY_COLOUR = "palette PNGs read by number", "palette PNGs read by colour"
GREY, RGB = "grey PNGs of numbers", "RGB PNGs read by colour"
"""The kinds of masks, in the plural."""


class Mask(NamedTuple):
    """A label map, its pixel counts, and its file's palette and kind.

    labels  | (H, W) | uint8 | 0..K-1, or 255 where void
    used    | (U,)   | int64 | the labels that occur, ascending
    pixels  | (U,)   | int64 | number of pixels of each
    colours | (N, 3) | uint8 | R, G, B of labels 0..N-1 in the file; no rows for a file without a palette
    kind    | str    |       | BY_NUMBER, BY_COLOUR, GREY or RGB
    """

    labels: np.ndarray
    used: np.ndarray
    pixels: np.ndarray
    colours: np.ndarray
    kind: str

    def without_labels(self) -> Mask:
        """Return the mask without its labels, which a worker process need not send."""
        return self._replace(labels=self.labels[:0])


def read_labels(path: Path | str, classes: Classes = VOC) -> np.ndarray:
    """Read a label map: a palette PNG, an 8-bit grey PNG of class numbers, or an RGB PNG of the classes' colours.

    returns | (H, W) | uint8 | 0..K-1, or 255 where void

    The labels of a palette PNG are its numbers. But if its palette gives a number the colour of another class, as other
    tools do, each pixel's label is the class of its colour. Black alone doesn't count: it is often an unset entry.

    Raises:
        DatasetError: the file is missing, is not a complete PNG of these kinds, or has a label that is neither a class
            nor void, or a colour of neither; or label 0 is coloured and another label black.
    """
    return read_mask(path, classes).labels


def read_mask(path: Path | str, classes: Classes = VOC) -> Mask:
    """Read a label map as `read_labels` does; return it with its pixel counts, palette and kind."""
    with opened(path) as image:
        if image.format != "PNG":
            raise DatasetError(f"{path}: a label map is a PNG file, this is {image.format}; compression changes labels")
        image.load()
        if image.mode == "RGBA" and np.array(image)[..., 3].min() == 255:
            image = image.convert("RGB")
        if image.mode not in ("P", "L", "RGB"):
            raise DatasetError(
                f"{path}: pixels are {image.mode}, not labels; convert it to a palette, 8-bit grey or RGB PNG"
                " (write_labels writes the first)"
            )
        if image.mode == "L" and _bit_depth(path) < 8:  # PIL stretches those to 0..255
            raise DatasetError(f"{path}: grey of {_bit_depth(path)} bits; convert it to a palette or 8-bit grey PNG")
        values, mode = np.array(image), image.mode
        colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    kind, labels = GREY, values
    if mode == "RGB":
        kind, labels = RGB, _classes_by_colour(path, values, classes)
    elif mode == "P" and (numbers := _renumbered(path, values, colours, classes)) is not None:
        kind, labels = BY_COLOUR, numbers[values]
    elif mode == "P":
        kind = BY_NUMBER
    counts = np.bincount(labels.ravel(), minlength=256)
    used = np.flatnonzero(counts)
    mask = Mask(labels, used, counts[used], colours, kind)
    if kind in (BY_NUMBER, GREY):
        _refuse_other_numbers(path, mask, classes)
    return mask


def classes_of(root: Path | str) -> Classes:
    """Return the classes that `classes.txt` in a data set's folder names, or VOC's if there is no such file.

    Raises:
        ConfigError: the file cannot be read, or a line of it cannot be used; or there is no file and no VOC folder
            Annotations/, and the first mask is grey or has other colours, so that its numbers may not be VOC's.
        DatasetError: see `files_by_stem`.
    """
    file, folder = Path(root) / CLASSES_FILE, Path(root) / MASKS
    if file.is_file():
        return read_classes(file)
    first = next(iter(files_by_stem(folder, MASK_ENDINGS).values()), None)
    if first is None or (Path(root) / "Annotations").is_dir():  # which VOC's own folders have
        return VOC
    with suppress(DatasetError):  # what is damaged is reported with the other files
        mask = read_mask(folder / first)
        if mask.kind == GREY or (mask.kind == BY_NUMBER and not has_class_colours(mask, VOC)):
            raise ConfigError(
                f"{file}: is missing, and {first} doesn't have the colours of VOC's classes; write one class per line, "
                "that of number 1 first, or pass --classes-file"
            )
    return VOC


def _bit_depth(path: Path | str) -> int:
    with Path(path).open("rb") as stream:
        return stream.read(25)[24]  # the ninth byte of the header chunk's data


def _of_colours(colours: np.ndarray, classes: Classes) -> np.ndarray:
    """Return the class with each of the colours (..., 3): (...) int16, 0..K-1, 255 for void, -1 for no class."""
    labels = np.array([*range(len(classes)), VOID])
    known = _as_number(classes.palette[labels])
    order = np.argsort(known)
    wanted = _as_number(colours)
    place = np.searchsorted(known[order], wanted).clip(max=len(order) - 1)
    return np.where(known[order][place] == wanted, labels[order][place], -1).astype(np.int16)


def _as_number(colours: np.ndarray) -> np.ndarray:
    return colours.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def _classes_by_colour(path: Path | str, pixels: np.ndarray, classes: Classes) -> np.ndarray:
    """Return the class of each pixel of an RGB mask (H, W, 3): (H, W) uint8; raise a DatasetError for other colours."""
    found = _of_colours(pixels, classes)  # (H, W)
    if (found < 0).any():
        strange, counts = np.unique(pixels[found < 0], axis=0, return_counts=True)
        most = counts.argmax()
        others = f" (one of {len(strange)} such colours, perhaps of smoothed edges)" if len(strange) > 1 else ""
        raise DatasetError(
            f"{path}: {counts[most]} pixels have the colour {_show(strange[most])}, which is not that of a class"
            f"{others}; {_LIST_IT}"
        )
    return found.astype(np.uint8)


_LIST_IT = f"give {CLASSES_FILE} the colours of the masks"


def _show(colour: np.ndarray) -> str:
    return " ".join(map(str, colour.tolist()))


def _renumbered(path: Path | str, values: np.ndarray, colours: np.ndarray, classes: Classes) -> np.ndarray | None:
    """Return the class of each number of a palette mask, (256,) uint8, or None if the numbers are the labels.

    Numbers get the classes of their colours if one in use has the colour of another class or is no class itself, and if
    all in use have colours of different classes. Black alone does not point to another class, as it is often an unset
    entry, unless 0 is in use and has a colour.

    Raises:
        DatasetError: a number has the colour of another class, not black, and another number a colour of no class.
    """
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    used, bare = used[used < len(colours)], used[used >= len(colours)]
    found = _of_colours(colours[used], classes)
    other = (found >= 0) & (found != used)
    if not (0 in used and colours[0].any()):
        other &= found != BACKGROUND
    if not other.any() and ((used < len(classes)) | (used == VOID)).all():
        return None
    if not bare.size and (found >= 0).all() and len(np.unique(found)) == len(found):
        numbers = np.zeros(256, np.uint8)
        numbers[used] = found
        return numbers
    of_classes = other & (found != BACKGROUND)
    if of_classes.any() and (found < 0).any():
        label, name, strange = used[of_classes][0], classes.name(found[of_classes][0]), used[found < 0][0]
        raise DatasetError(
            f"{path}: label {label} has the colour of {name}, so labels are read by colour; but label {strange} has the"
            f" colour {_show(colours[strange])}, which is not that of a class; {_LIST_IT}"
        )
    return None


def _refuse_other_numbers(path: Path | str, mask: Mask, classes: Classes) -> None:
    """Raise a DatasetError if a number in a mask is neither a class nor void, or if 0 is not the background."""
    strange = mask.used[(mask.used >= len(classes)) & (mask.used != VOID)]
    if strange.size:
        raise DatasetError(
            f"{path}: labels {first_few(strange)} are neither a class (0..{len(classes) - 1}) nor void ({VOID});"
            " save it with the classes' numbers, without interpolation"
        )
    coloured, black = background_elsewhere(mask)
    if coloured and black:
        raise DatasetError(f"{path}: label 0 is coloured and label {black[0]} black; {RENUMBER}")


RENUMBER = "the background is label 0, painted black: these masks use another numbering; renumber them so"


def background_elsewhere(mask: Mask) -> tuple[bool, list[int]]:
    """Return whether label 0 is in use and coloured, and which other labels in use are black.

    Both are signs that label 0 is not the background. Black alone means nothing, as it is often an unset entry of the
    palette; so the result is (False, []) if label 0 is black or has no colour, or the mask isn't read by number.
    """
    if mask.kind != BY_NUMBER or not mask.colours[:1].any():
        return False, []
    objects = mask.used[(mask.used > 0) & (mask.used < len(mask.colours)) & (mask.used != VOID)]
    return 0 in mask.used, [int(label) for label in objects if not mask.colours[label].any()]


def has_class_colours(mask: Mask, classes: Classes) -> bool:
    """Return whether the palette gives each label in use its class's colour; black and missing entries don't count."""
    used = mask.used[mask.used < len(mask.colours)]
    colours = mask.colours[used]
    return bool(((colours == classes.palette[used]).all(axis=1) | ~colours.any(axis=1)).all())
