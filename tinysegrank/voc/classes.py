"""The classes of a data set, VOC's by default: their names and colours, and the labels of background and void.

A file `classes.txt` in the data set's folder names classes of its own; see `read_classes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Self

import numpy as np

from tinysegrank.errors import ConfigError, brief
from tinysegrank.files import reading

BACKGROUND = 0
VOID = 255
CLASSES_FILE = "classes.txt"
Colour = tuple[int, int, int]
_COLOUR_AT_END = re.compile(r"\s+(?:#([0-9a-f]{6})|(\d{1,9})[\s,]+(\d{1,9})[\s,]+(\d{1,9}))$", re.IGNORECASE)
_LIKE_A_COLOUR = re.compile(r"\s#\w*$|\d+[\s,]+\d+[\s,]+\d+$")


@cache
def palette() -> np.ndarray:
    """Return the colour of each label.

    returns | (256, 3) | uint8 | R, G, B of label 0..255; read-only

    Bits 0, 1, 2 of a label are the top bits of its red, green and blue, bits 3, 4, 5 the next ones, and so on, so that
    small labels get colours far apart and label 255 is (224, 224, 192).

    Source: VOClabelcolormap.m of the VOC devkit.
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for step in range(8):
        for channel in range(3):
            bit = index >> (3 * step + channel) & 1
            colours[:, channel] |= (bit << (7 - step)).astype(np.uint8)
    colours.flags.writeable = False
    return colours


@dataclass(frozen=True)
class Classes:
    """The classes of a data set; `len` of it is their number K.

    Attributes:
        names: name of each class, the background first.
        colours: R, G, B of each; by default those of VOC's palette.

    Raises:
        ConfigError: there are fewer than 2 or more than 255 classes, background included, or names and colours differ
            in number; or a name or colour is duplicated or cannot be used.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...] = ()

    def __post_init__(self) -> None:
        if not self.colours:
            object.__setattr__(self, "colours", tuple(map(_usual_colour, range(len(self.names)))))
        if not 2 <= len(self.names) == len(self.colours) <= VOID:
            raise ConfigError(
                f"classes: {len(self.names)} names and {len(self.colours)} colours; give 1 to {VOID - 1} classes"
                " besides the background, each with one colour or none with any"
            )
        for k in range(len(self.names)):
            if fault := _fault(self.names[: k + 1], self.colours[: k + 1]):
                raise ConfigError(f"classes: {fault}")

    @classmethod
    def parse(cls, lines: Iterable[str], place: object = "classes") -> Self:
        """Return the classes in the lines of a file; for their format and for errors see `read_classes`.

        Error messages begin with `place`, the file or setting.
        """
        names: list[str] = []
        colours: list[Colour] = []
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if not text or text.startswith("#") or text == "__ignore__":  # labelme's name of what it leaves out
                continue
            name, colour = _split(text)
            is_background = name.lower().strip("_") == "background"
            if not names and not is_background:
                names, colours = ["background"], [_usual_colour(BACKGROUND)]
            names.append("background" if is_background else name)
            colours.append(colour or _usual_colour(len(colours)))
            if fault := _fault(names, colours):
                raise ConfigError(f"{place}: line {number}: {fault}")
        if len(names) < 2:
            raise ConfigError(f"{place}: names no class; write one per line, such as: weed 0 128 0")
        return cls(tuple(names), tuple(colours))

    def lines(self) -> tuple[str, ...]:
        """Return the lines of a file with these classes, each as `name #rrggbb`."""
        return tuple(f"{name} #{bytes(colour).hex()}" for name, colour in zip(self.names, self.colours, strict=True))

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def palette(self) -> np.ndarray:
        """The colour of each label, (256, 3) uint8: those of the classes, and VOC's of all others; read-only."""
        colours = palette().copy()
        colours[: len(self)] = self.colours
        colours.flags.writeable = False
        return colours

    def name(self, label: int) -> str:
        """Return the name of a class or of void."""
        return "void" if label == VOID else self.names[label]

    def listed(self, indices: Iterable[int]) -> str:
        """Return the names of the classes of these numbers, with commas between."""
        return ", ".join(self.names[index] for index in indices)


def read_classes(path: Path | str) -> Classes:
    """Read a file of classes: UTF-8 text, one class per line, as `name`, `name R G B` or `name #rrggbb`.

    The first class is 1, the next 2, and so on; 0 is the background, which the first line may name to give it a colour.
    A class without a colour has the one that VOC's palette gives to its number. Empty lines, lines that begin with #
    and labelme's `__ignore__` are left out.

    Raises:
        ConfigError: the file cannot be read, or names no class or more than 254; or a name or colour cannot be used or
            is duplicated, and the message has the line.
    """
    with reading(path, ConfigError, fault="cannot be used", remedy="save it as UTF-8"):
        text = Path(path).read_bytes().decode("utf-8-sig")
    return Classes.parse(text.splitlines(), path)


def _split(text: str) -> tuple[str, Colour | None]:
    """Return the name in a line, and its colour if it has one."""
    if not (found := _COLOUR_AT_END.search(text)):
        return text, None
    in_hex, *numbers = found.groups()
    red, green, blue = bytes.fromhex(in_hex) if in_hex else map(int, numbers)
    return text[: found.start()], (red, green, blue)


def _usual_colour(index: int) -> Colour:
    red, green, blue = palette()[min(index, VOID)].tolist()
    return red, green, blue


def _fault(names: Sequence[str], colours: Sequence[Colour]) -> str:
    """Return the reason why the last of the classes cannot be added to those before it, or "" if it can."""
    *earlier, name = names
    *taken, colour = colours
    shown = brief(name, 60)
    if not name.strip() or not name.isprintable() or set(name) & set(",|"):
        return f"{shown!r} is not a name; write letters, digits and blanks, without commas or bars"
    if _LIKE_A_COLOUR.search(name) or not all(0 <= value <= 255 for value in colour):
        return f"{shown!r} has no colour that can be used; write R G B, each 0 to 255, or #rrggbb"
    if name == "void":
        return f"void is not a class: pixels without a label are {VOID}, whatever the classes"
    if name in earlier:
        return f"{shown} is listed twice" + (
            "; it is class 0: put it first or leave it out" if name == earlier[0] else ""
        )
    if len(names) > VOID:
        return f"{shown} is one class too many; {VOID - 1} besides the background fit a label map"
    if colour == _usual_colour(VOID):
        return f"{shown} has the colour of void, {' '.join(map(str, colour))}; give it another"
    if colour in taken:
        other = names[taken.index(colour)]
        return f"{shown} has the colour of {brief(other, 60)}, {' '.join(map(str, colour))}; give one of them another"
    return ""


VOC = Classes((
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
))  # fmt: skip
"""The classes of PASCAL VOC."""
CLASS_NAMES = VOC.names
NUM_CLASSES = len(VOC)


def parse_classes(text: str, classes: Classes = VOC) -> tuple[int, ...]:
    """Parse comma-separated class names or numbers, such as "background,cat,8"; return class indices, in this order.

    Raises:
        ConfigError: an entry is not a class or is duplicated, or there is none.
    """
    indices: list[int] = []
    for entry in (part.strip() for part in text.split(",")):
        index = _class_index(entry, classes)
        if index in indices:
            said = f"{classes.names[index]} ({index}) is duplicated in {brief(repr(text), 60)}"
            raise ConfigError(f"classes: {said}; name it once")
        indices.append(index)
    return tuple(indices)


def _class_index(entry: str, classes: Classes) -> int:
    names = classes.names
    if entry in names:
        return names.index(entry)
    if entry.isascii() and entry.isdigit() and len(entry) <= 9 and int(entry) < len(classes):
        return int(entry)
    near = get_close_matches(entry.lower().replace(" ", ""), names, n=1)
    hint = (
        f"did you mean {near[0]}?" if near else f"classes are 0 to {len(classes) - 1} or {brief(', '.join(names), 230)}"
    )
    of = "PASCAL VOC" if classes == VOC else "the data"
    raise ConfigError(f"classes: {brief(repr(entry), 40)} is not a class of {of}; {hint}")
