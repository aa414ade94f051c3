"""Check label maps, count their pixels, write them as palette PNGs like PASCAL VOC's, and show them in colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tinysegrank.backend import accelerated
from tinysegrank.errors import DatasetError, ShapeError
from tinysegrank.files import atomic_write
from tinysegrank.voc.classes import BACKGROUND, NUM_CLASSES, VOC, VOID, Classes
from tinysegrank.voc.split import first_few

_SMALLEST_TEXT, _TEXTS_ACROSS = 10, 36  # pixels; heights of the text in the legend's width


def check_labels(
    labels: np.ndarray, *, num_classes: int = NUM_CLASSES, void: int | None = VOID, name: object = "labels"
) -> np.ndarray:
    """Check that all labels are classes or void, and return them as uint8.

    labels  | any shape | integer | 0..num_classes-1, or `void`
    returns | as labels | uint8   |

    Args:
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
    """Write a label map atomically, as an 8-bit palette PNG of the labels with the classes' colours as its palette.

    labels | (H, W) | integer | 0..K-1, or 255 where void

    Raises:
        ShapeError: the array is not two-dimensional, is empty, or is not of integers.
        DatasetError: a label is neither a class nor void.
        OutputError: the file cannot be written.
    """
    labels = check_labels(labels, num_classes=len(classes))
    if labels.ndim != 2 or not labels.size:
        raise ShapeError(f"labels: shape {labels.shape} is not (H, W); pass the label map of one image")
    image = Image.fromarray(labels)
    image.putpalette(classes.palette.tobytes())
    with atomic_write(path) as stream:
        image.save(stream, format="PNG")


def label_colours(labels: np.ndarray, classes: Classes = VOC) -> np.ndarray:
    """Return the colour of each label: (..., H, W) uint8 -> (..., H, W, 3) uint8, R, G, B."""
    return classes.palette[labels]


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
    photo = Image.fromarray(image)
    painted = photo.copy()
    for label in np.flatnonzero(label_counts(labels)):
        if label != BACKGROUND:
            table = np.rint((1 - opacity) * np.arange(256) + opacity * classes.palette[label][:, None])  # (3, 256)
            tinted = photo.point(table.astype(int).ravel().tolist())
            painted.paste(tinted, mask=Image.fromarray(labels == label))
    return np.array(painted)


def count_pairs(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """Count the pixels with each pair (number in `rows`, number in a map of `columns`), for every map.

    rows    | (P,)      | unsigned | 0..R-1, or 255, which is counted only if it is below R
    columns | (M, P)    | uint8    | 0..C-1
    shape   | (R, C)    | int      |
    returns | (M, R, C) | int64    | pixels; and a bool: whether there are other numbers, which are not counted

    The Numba version `fast.count_pairs` runs unless TINYSEGRANK_ACCELERATE=0; the results are the same.
    """
    rows, columns = np.ascontiguousarray(rows), np.ascontiguousarray(columns)
    R, C = shape
    if accelerated():
        from tinysegrank.voc import fast  # numba loads slowly

        return fast.count_pairs(rows, columns, R, C)
    bins = 256 * rows.astype(np.int64)  # (P,), the row's first bin
    counts = [np.bincount(bins + one, minlength=256 * R)[: 256 * R].reshape(R, 256)[:, :C] for one in columns]
    strange = ((rows >= R) & (rows != VOID)).any() or (columns >= C).any()
    return np.array(counts, np.int64).reshape(-1, R, C), bool(strange)


def label_counts(labels: np.ndarray) -> np.ndarray:
    """Count the pixels of each label: (H, W) uint8 -> (256,) int64."""
    return np.array(Image.fromarray(labels).histogram(), np.int64)


def draw_legend(width: int, entries: Sequence[tuple[str, tuple[int, int, int]]]) -> Image.Image:
    """Return a white image, `width` pixels wide, with names beside squares of their colours (R, G, B)."""
    text = max(width // _TEXTS_ACROSS, _SMALLEST_TEXT)
    font, gap = ImageFont.load_default(size=text), text // 2
    places, x, y = [], gap, gap
    for name, _ in entries:
        length = text + gap + int(font.getlength(name))
        if x + length > width and x > gap:
            x, y = gap, y + text + gap
        places.append((x, y))
        x += length + 2 * gap
    strip = Image.new("RGB", (width, y + text + gap), "white")
    draw = ImageDraw.Draw(strip)
    for (name, colour), (x, y) in zip(entries, places, strict=True):
        draw.rectangle((x, y, x + text - 1, y + text - 1), fill=colour, outline="black")
        draw.text((x + text + gap, y), name, "black", font)
    return strip
