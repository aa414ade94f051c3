"""Label maps in and out: palette PNG files of raw class indices, as PASCAL VOC stores them, and pictures of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tinysegrank.errors import DatasetError, ShapeError
from tinysegrank.files import atomic_write
from tinysegrank.voc.classes import BACKGROUND, NUM_CLASSES, VOID, palette
from tinysegrank.voc.images import opened


def read_labels(path: Path | str, *, num_classes: int = NUM_CLASSES) -> np.ndarray:
    """Read a label map: the raw indices of a palette PNG, or the values of an 8-bit single-channel one.

    returns | (H, W) | uint8 | 0..num_classes-1, or 255 where void

    Raises:
        DatasetError: the file is missing, is not a whole PNG, holds colours in place of labels, holds a label that is
            neither a class nor void, or has a palette that gives its labels the VOC colours of other labels.
    """
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
        colours = image.getpalette("RGB")
    used = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    strange = used[(used >= num_classes) & (used != VOID)]
    if strange.size:
        raise DatasetError(
            f"{path}: labels {_some(strange)} are neither a class (0..{num_classes - 1}) nor void ({VOID});"
            " was the mask saved with another label list, resized with interpolation, or coloured?"
        )
    if colours is not None:
        _refuse_reordered_palette(path, used, np.array(colours, np.uint8).reshape(-1, 3), num_classes)
    return labels


def _bit_depth(path: Path | str) -> int:
    with Path(path).open("rb") as stream:
        return stream.read(25)[24]  # the ninth byte of the header chunk's data


def _refuse_reordered_palette(path: Path | str, used: np.ndarray, colours: np.ndarray, num_classes: int) -> None:
    """A mask saved again by a drawing program keeps its colours, but may number them anew."""
    voc = palette()
    for label in used[used < len(colours)]:
        same = np.flatnonzero((voc[:num_classes] == colours[label]).all(axis=1))
        if same.size and same[0] not in (BACKGROUND, label):  # black is often just an unset entry
            raise DatasetError(
                f"{path}: label {label} has the VOC colour of label {same[0]}; the palette was rebuilt when the file"
                " was saved again, so its indices are not classes: use the original file"
            )


def check_labels(labels: np.ndarray, *, num_classes: int = NUM_CLASSES, void: int | None = VOID) -> np.ndarray:
    """Return an array of labels as uint8, once its values are known to be classes or void.

    labels  | any shape | integer | 0..num_classes-1, or `void`
    returns | as labels | uint8   |

    Raises:
        ShapeError: the labels are not integers.
        DatasetError: a label is neither a class nor void.
    """
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ShapeError(f"labels: dtype {labels.dtype} is not integer; pass class indices")
    if labels.dtype == np.uint8 and void in (None, VOID):  # the usual case takes a look or two, as 255 + 1 is 0
        largest = int(labels.max(initial=0)) if void is None else int((labels + np.uint8(1)).max(initial=0)) - 1
        if largest < num_classes:
            return labels
    good = (labels >= 0) & (labels < num_classes)
    if void is not None:
        good |= labels == void
    if not good.all():
        also = "" if void is None else f" nor void ({void})"
        raise DatasetError(f"labels: {_some(np.unique(labels[~good]))} are no class (0..{num_classes - 1}){also}")
    return labels.astype(np.uint8, copy=False)


def _some(values: np.ndarray) -> str:
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")


def write_labels(path: Path | str, labels: np.ndarray) -> None:
    """Write a label map as an 8-bit palette PNG of raw indices with the VOC colours, atomically.

    labels | (H, W) | integer | 0..20, or 255 where void

    Raises:
        ShapeError: the array is not two-dimensional, is empty, or is not of integers.
        DatasetError: a label is neither a class nor void.
    """
    labels = check_labels(labels)
    if labels.ndim != 2 or not labels.size:
        raise ShapeError(f"labels: shape {labels.shape} is not (H, W); pass the label map of one image")
    image = Image.fromarray(labels)
    image.putpalette(palette().tobytes())
    with atomic_write(path) as stream:
        image.save(stream, format="PNG")


def label_colours(labels: np.ndarray) -> np.ndarray:
    """Paint each label in its VOC colour.

    labels  | (..., H, W)    | uint8 | 0..255
    returns | (..., H, W, 3) | uint8 | R, G, B
    """
    colours: np.ndarray = palette()[labels]  # (..., H, W, 3)
    return colours


def overlay(image: np.ndarray, labels: np.ndarray, opacity: float = 0.6) -> np.ndarray:
    """Lay the colours of all labels but background over an image.

    image   | (H, W, 3) | uint8 | R, G, B
    labels  | (H, W)    | uint8 | 0..20, or 255 where void
    returns | (H, W, 3) | uint8 | R, G, B

    Raises:
        ShapeError: the two differ in size, or the opacity is outside 0..1.
    """
    if image.shape != (*labels.shape, 3):
        raise ShapeError(f"labels: shape {labels.shape} does not fit an image of shape {image.shape}")
    if not 0 <= opacity <= 1:
        raise ShapeError(f"opacity: {opacity} is outside 0..1")
    mixed: np.ndarray = (1 - opacity) * image + opacity * label_colours(labels)  # (H, W, 3)
    painted = np.rint(mixed).astype(np.uint8)
    return np.where(labels[..., None] == BACKGROUND, image, painted)
