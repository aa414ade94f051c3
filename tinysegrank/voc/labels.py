"""Read and write label maps, as palette PNGs of raw class indices like PASCAL VOC's, and show them in colour."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tinysegrank.errors import DatasetError, ShapeError
from tinysegrank.files import atomic_write
from tinysegrank.voc.classes import BACKGROUND, NUM_CLASSES, VOC, VOID, Classes
from tinysegrank.voc.images import opened
from tinysegrank.voc.split import first_few


class Mask(NamedTuple):
    """A label map with its palette, as stored in its file.

    labels  | (H, W) | uint8 | 0..num_classes-1, or 255 where void
    used    | (U,)   | int64 | the labels that occur, ascending
    pixels  | (U,)   | int64 | number of pixels of each
    colours | (N, 3) | uint8 | R, G, B of labels 0..N-1; no rows for a file without a palette
    """

    labels: np.ndarray
    used: np.ndarray
    pixels: np.ndarray
    colours: np.ndarray


def read_labels(path: Path | str, classes: Classes = VOC) -> np.ndarray:
    """Read a label map: the raw indices of a palette PNG, or the values of an 8-bit single-channel one.

    returns | (H, W) | uint8 | 0..num_classes-1, or 255 where void

    Raises:
        DatasetError: the file is missing, is not a complete PNG, has colours instead of labels or a label that is
            neither a class nor void, or has a palette that contradicts VOC's: a label has the VOC colour of another
            one, or label 0 is coloured and another label black.
    """
    return read_mask(path, classes).labels


def read_mask(path: Path | str, classes: Classes = VOC) -> Mask:
    """Read a label map with its palette and the count of each label; see `read_labels`."""
    with opened(path) as image:
        if image.format != "PNG":
            raise DatasetError(f"{path}: a label map is a PNG file, this is {image.format}; compression changes labels")
        image.load()
        if image.mode not in ("P", "L"):
            raise DatasetError(
                f"{path}: pixels are {image.mode}, not labels; convert it to a palette or 8-bit index PNG"
                " (write_labels writes one)"
            )
        if image.mode == "L" and _bit_depth(path) < 8:  # PIL stretches those to 0..255
            raise DatasetError(f"{path}: grey of {_bit_depth(path)} bits; convert it to a palette or 8-bit index PNG")
        labels = np.array(image)
        colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    counts = np.bincount(labels.ravel(), minlength=256)
    used = np.flatnonzero(counts)
    strange = used[(used >= len(classes)) & (used != VOID)]
    if strange.size:
        raise DatasetError(
            f"{path}: labels {first_few(strange)} are neither a class (0..{len(classes) - 1}) nor void ({VOID});"
            " was the mask saved with another label list, resized with interpolation, or coloured?"
        )
    mask = Mask(labels, used, counts[used], colours)
    _refuse_other_palette(path, mask, classes)
    return mask


def _bit_depth(path: Path | str) -> int:
    with Path(path).open("rb") as stream:
        return stream.read(25)[24]  # the ninth byte of the header chunk's data


def _refuse_other_palette(path: Path | str, mask: Mask, classes: Classes) -> None:
    """Check the palette against VOC's: a drawing program that saves a mask again may renumber its labels."""
    for label in mask.used[mask.used < len(mask.colours)]:
        same = np.flatnonzero((classes.palette == mask.colours[label]).all(axis=1))  # VOC's colours differ
        if same.size and (same[0] < len(classes) or same[0] == VOID) and same[0] not in (BACKGROUND, label):
            raise DatasetError(
                f"{path}: label {label} has the VOC colour of label {same[0]}; the palette was rebuilt when the file"
                " was saved again, so its indices are not classes: use the original file"
            )
    coloured, black = background_elsewhere(mask)
    if coloured and black:
        raise DatasetError(f"{path}: label 0 is coloured and label {black[0]} black; {RENUMBER}")


RENUMBER = "VOC's background is label 0, painted black: these masks use another numbering; renumber them as VOC does"


def background_elsewhere(mask: Mask) -> tuple[bool, list[int]]:
    """Return whether label 0 is in use and coloured, and which other labels in use are black.

    Both are signs that label 0 is not the background. Black alone means nothing, as it is often an unset entry of the
    palette; so the result is (False, []) if label 0 is black or has no colour.
    """
    if not mask.colours[:1].any():
        return False, []
    objects = mask.used[(mask.used > 0) & (mask.used < len(mask.colours)) & (mask.used != VOID)]
    return 0 in mask.used, [int(label) for label in objects if not mask.colours[label].any()]


def check_labels(
    labels: np.ndarray, *, num_classes: int = NUM_CLASSES, void: int | None = VOID, name: object = "labels"
) -> np.ndarray:
    """Check that all labels are classes or void, and return them as uint8.

    labels  | any shape | integer | 0..num_classes-1, or `void`
    returns | as labels | uint8   |

    Args:
        num_classes: number of classes K.
        void: the value that is void; None if every pixel needs a class.
        name: name of the argument or file in error messages.

    Raises:
        ShapeError: the labels are not integers.
        DatasetError: a label is neither a class nor void.
    """
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ShapeError(f"{name}: dtype {labels.dtype} is not integer; pass class indices")
    if labels.dtype == np.uint8 and void in (None, VOID):  # the usual case is fast: 255 + 1 wraps to 0
        largest = int(labels.max(initial=0)) if void is None else int((labels + np.uint8(1)).max(initial=0)) - 1
        if largest < num_classes:
            return labels
    good = (labels >= 0) & (labels < num_classes)
    if void is not None:
        good |= labels == void
    if void is None and (labels[~good] == VOID).any():
        raise DatasetError(
            f"{name}: holds void ({VOID}), which only the truth may; label every pixel with a class"
            f" (0..{num_classes - 1})"
        )
    if not good.all():
        strange, also = first_few(np.unique(labels[~good])), "" if void is None else f" or void ({void})"
        raise DatasetError(f"{name}: {strange} is not a class (0..{num_classes - 1}){also}")
    return labels.astype(np.uint8, copy=False)


def write_labels(path: Path | str, labels: np.ndarray, classes: Classes = VOC) -> None:
    """Write a label map as an 8-bit palette PNG of raw indices with the classes' colours, atomically.

    labels | (H, W) | integer | 0..K-1, or 255 where void

    Raises:
        ShapeError: the array is not two-dimensional, is empty, or is not of integers.
        DatasetError: a label is neither a class nor void.
    """
    labels = check_labels(labels, num_classes=len(classes))
    if labels.ndim != 2 or not labels.size:
        raise ShapeError(f"labels: shape {labels.shape} is not (H, W); pass the label map of one image")
    image = Image.fromarray(labels)
    image.putpalette(classes.palette.tobytes())
    with atomic_write(path) as stream:
        image.save(stream, format="PNG")


def label_colours(labels: np.ndarray, classes: Classes = VOC) -> np.ndarray:
    """Return the colour of each label.

    labels  | (..., H, W)    | uint8 | 0..255
    returns | (..., H, W, 3) | uint8 | R, G, B
    """
    return classes.palette[labels]  # (..., H, W, 3)


def overlay(image: np.ndarray, labels: np.ndarray, opacity: float = 0.6, classes: Classes = VOC) -> np.ndarray:
    """Blend the colours of all labels but background into an image.

    image   | (H, W, 3) | uint8 | R, G, B
    labels  | (H, W)    | uint8 | 0..K-1, or 255 where void
    returns | (H, W, 3) | uint8 | R, G, B

    Raises:
        ShapeError: the two differ in size, or the opacity is outside 0..1.
    """
    if image.shape != (*labels.shape, 3):
        raise ShapeError(f"labels: shape {labels.shape} does not fit an image of shape {image.shape}")
    if not 0 <= opacity <= 1:
        raise ShapeError(f"opacity: {opacity} is outside 0..1")
    painted = np.rint((1 - opacity) * image + opacity * label_colours(labels, classes)).astype(np.uint8)  # (H, W, 3)
    return np.where(labels[..., None] == BACKGROUND, image, painted)
