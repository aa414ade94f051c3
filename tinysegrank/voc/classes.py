"""The classes of PASCAL VOC, their palette, and the two values that are not objects: background and void."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache

import numpy as np

from tinysegrank.errors import ConfigError

CLASS_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
NUM_CLASSES = len(CLASS_NAMES)
BACKGROUND = 0
VOID = 255


@cache
def palette() -> np.ndarray:
    """Return the colour of each label, by the devkit's rule.

    returns | (256, 3) | uint8 | R, G, B of label 0..255; read-only

    Bits 0, 1, 2 of a label are the top bits of its red, green and blue, bits 3, 4, 5 the next ones, and so on, so that
    small labels get colours far apart and label 255 is (224, 224, 192).

    Source: VOClabelcolormap.m of the VOC devkit, by its rule.
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for step in range(8):
        for channel in range(3):
            bit = index >> (3 * step + channel) & 1
            colours[:, channel] |= (bit << (7 - step)).astype(np.uint8)
    colours.flags.writeable = False
    return colours


def parse_classes(text: str) -> tuple[int, ...]:
    """Parse comma-separated class names or numbers, such as "background,cat,8"; return class indices, in this order.

    Raises:
        ConfigError: an entry is not a class or is duplicated, or there is none.
    """
    indices: list[int] = []
    for entry in (part.strip() for part in text.split(",")):
        index = _class_index(entry)
        if index in indices:
            raise ConfigError(f"classes: {CLASS_NAMES[index]} ({index}) is duplicated in {text!r}; name it once")
        indices.append(index)
    return tuple(indices)


def _class_index(entry: str) -> int:
    if entry in CLASS_NAMES:
        return CLASS_NAMES.index(entry)
    if entry.isascii() and entry.isdigit() and int(entry) < NUM_CLASSES:
        return int(entry)
    near = get_close_matches(entry.lower().replace(" ", ""), CLASS_NAMES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"classes are 0 to {NUM_CLASSES - 1} or {', '.join(CLASS_NAMES)}"
    raise ConfigError(f"classes: {entry!r} is not a class of PASCAL VOC; {hint}")
