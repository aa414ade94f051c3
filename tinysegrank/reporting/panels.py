"""Qualitative results: one row per image, its label maps side by side in the classes' colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinysegrank.reporting.plots import png
from tinysegrank.voc import BACKGROUND, VOC, VOID, Classes, overlay, tile_index

_WIDTH = 2.1  # of one image in the figure, inches
_TALLEST = 1.25  # largest ratio of an image's height to its width


@dataclass(frozen=True)
class PanelRow:
    """One image and its label maps.

    image  | (H, W, 3)                 | uint8   | R, G, B
    labels | each (H, W) or (h, w)     | integer | by heading; a smaller map is coarse, each cell drawn as a tile

    Attributes:
        name: caption of the image.
        captions: text under a label map, by its heading, such as its IoU.
    """

    name: str
    image: np.ndarray
    labels: Mapping[str, np.ndarray]
    captions: Mapping[str, str] = field(default_factory=dict)


def qualitative_panels(
    path: Path | str, rows: Sequence[PanelRow], *, opacity: float = 0.75, classes: Classes = VOC
) -> None:
    """Draw one row per image: the image, then each label map laid over it, its largest regions named; and a legend.

    See `png` for the file.

    Args:
        rows: the images and label maps; all rows have the same headings in the same order.
        opacity: opacity of the labels' colours, 0..1.
    """
    from matplotlib.patches import Patch

    headings = list(rows[0].labels)
    values = {int(value) for row in rows for labels in row.labels.values() for value in np.unique(labels)}
    seen = sorted(values - {BACKGROUND})  # background shows the image
    per_line = max(1, int(_WIDTH * (len(headings) + 1) / 1.4))
    lines = -(-len(seen) // per_line)
    # all lengths in inches, from the lower left; each row is images with a line of captions below them
    heights = [_WIDTH * min(row.image.shape[0] / row.image.shape[1], _TALLEST) + 0.25 for row in rows]
    width, height = _WIDTH * (len(headings) + 1), 0.3 + sum(heights) + 0.25 + 0.22 * lines
    with png(path, width, height, dpi=110, placed=True) as figure:

        def write(column: int, y: float, text: str, **style: Any) -> None:
            figure.text((column + 0.5) * _WIDTH / width, y / height, text, ha="center", parse_math=False, **style)

        for column, heading in enumerate(["image", *headings]):
            write(column, height - 0.18, heading, va="center", fontsize=10, weight="bold")
        bottoms = height - 0.3 - np.cumsum(heights)
        for row, bottom, tall in zip(rows, bottoms, heights, strict=True):
            painted = [overlay(row.image, stretch(row.labels[name], row.image), opacity, classes) for name in headings]
            captions = [row.name, *(row.captions.get(name, "") for name in headings)]
            for column, (picture, caption) in enumerate(zip([row.image, *painted], captions, strict=True)):
                left, across = column * _WIDTH + 0.03, _WIDTH - 0.06
                axes = figure.add_axes((left / width, (bottom + 0.22) / height, across / width, (tall - 0.25) / height))
                axes.imshow(picture, interpolation="antialiased")
                axes.set_axis_off()
                if column:
                    name_regions(axes, stretch(row.labels[headings[column - 1]], row.image), classes=classes)
                write(column, bottom + 0.17, caption, va="top", fontsize=8)
        patches = [
            Patch(facecolor=colour, edgecolor="0.4", linewidth=0.5, label=classes.name(index))
            for index, colour in zip(seen, classes.palette[seen] / 255, strict=True)
        ]
        if patches:
            columns = min(per_line, len(patches))
            figure.legend(handles=patches, loc="lower center", ncols=columns, frameon=False, fontsize=9)


def name_regions(
    axes: Any, labels: np.ndarray, *, size: float = 7, smallest: float = 0.01, classes: Classes = VOC
) -> None:
    """Write the name of each class on its largest region of a label map, so that it can be read without colours.

    labels | (H, W) | integer | drawn on `axes` by `imshow`

    A name that would cover that of a larger region is left out.

    Args:
        axes: Matplotlib's.
        size: of the text, in points.
        smallest: share of the image that a region must have to be named.
    """
    from matplotlib.patheffects import withStroke
    from scipy.ndimage import distance_transform_edt, label

    largest: list[tuple[int, int, np.ndarray]] = []  # of each class: pixels, class, mask
    for k in np.setdiff1d(labels, [BACKGROUND, VOID]).tolist():
        regions, _ = label(labels == k)
        areas = np.bincount(regions.ravel())[1:]  # region 0 is all else
        largest.append((int(areas.max()), k, regions == 1 + areas.argmax()))
    axes.apply_aspect()  # the axes' final shape, for the size of the text in pixels of the image
    written: list[Any] = []
    for pixels, k, region in sorted(largest, key=lambda each: -each[0]):
        if pixels < smallest * labels.size:
            break
        inside = np.pad(region, 1)  # the text stays away from the image's edges, too
        v, u = np.unravel_index(distance_transform_edt(inside).argmax(), inside.shape)
        side = "left" if u < labels.shape[1] / 4 else "right" if u > labels.shape[1] * 3 / 4 else "center"
        text = axes.text(u - 1, v - 1, classes.name(k), fontsize=size, color="white", ha=side, va="center")
        text.set(clip_on=True, parse_math=False, path_effects=[withStroke(linewidth=1.5, foreground="black")])
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in written):
            text.remove()
        else:
            written.append(box)


def stretch(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Enlarge a coarse label map to the size of its image: each cell fills its tile.

    labels  | (h, w)    | integer | h <= H, w <= W
    image   | (H, W, 3) | uint8   | gives the size
    returns | (H, W)    | uint8   |

    Raises:
        DatasetError: the map is larger than the image.
    """
    row, column = (tile_index(*sides) for sides in zip(image.shape[:2], labels.shape, strict=True))
    return labels[row[:, None], column].astype(np.uint8)
