"""What the tutorials draw with: grids of numbers, outlines and arrows, in units of one cell, x to the right and y down.

The colours are those of Okabe and Ito, which readers with any colour vision can tell apart.
"""

from __future__ import annotations

import io
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PINK, SKY, YELLOW, GREY, INK = "#CC79A7", "#56B4E9", "#F0E442", "#8A8A8A", "#222222"
LOSSES = {  # the colour, line and marker of each loss, on all pages
    "ce": {"color": GREEN, "linestyle": "--", "marker": "s"},
    "iou": {"color": VERMILION, "linestyle": ":", "marker": "^"},
    "uoi": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "uoi+ce": {"color": ORANGE, "linestyle": "-.", "marker": "D"},
}
GROUPS = ("#ECECEC", PINK, YELLOW, SKY, "#6A51A3")  # background, person, animal, vehicle, indoor on pages 8 and 9
COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PINK, SKY, YELLOW, GREY, "#6A51A3")
Point = tuple[float, float]
STYLE = {
    "savefig.dpi": 110,
    "svg.hashsalt": "tinysegrank",
    "figure.figsize": (6.4, 3.2),
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
}


def use_style() -> None:
    """Draw all figures from now on as those of the pages are drawn."""
    plt.rcParams.update(STYLE)


def canvas(width: float, height: float, *, cell: float = 0.36) -> tuple[Figure, Axes]:
    """An empty drawing of width x height cells, each `cell` inches wide."""
    figure, axes = plt.subplots(figsize=(width * cell, height * cell), layout="none")
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.axis("off")
    return figure, axes


def tint(colour: str, strength: float = 0.3) -> tuple[float, float, float]:
    """A colour mixed with white; strength 1 is the colour itself."""
    r, g, b = 1 - strength * (1 - np.array(to_rgb(colour)))
    return float(r), float(g), float(b)


def grid(axes: Axes, values: Any, at: Point, *, fills: Any = None, size: float = 9, colour: str = INK) -> None:
    """Draw a matrix with its top left corner at `at`.

    values: rows of numbers or strings; None leaves a cell empty.
    fills: rows of colours, or one colour for all cells; None is white.
    """
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            fill = fills if fills is None or isinstance(fills, str | tuple) else fills[row][column]
            corner = (at[0] + column, at[1] + row)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=fill or "white", edgecolor="#B0B0B0", linewidth=0.8))
            if value is not None:
                shown = value if isinstance(value, str) else f"{value:g}".replace("-", "−")
                label(axes, shown, (corner[0] + 0.5, corner[1] + 0.5), size=size, colour=colour)


def outline(axes: Axes, at: Point, shape: Point, colour: str, *, width: float = 2.5, style: str = "-") -> None:
    """Draw a frame around shape = (rows, columns) cells, the top left one at `at`."""
    rows, columns = shape
    axes.add_patch(
        Rectangle(at, columns, rows, fill=False, edgecolor=colour, linewidth=width, linestyle=style, zorder=4)
    )


def label(axes: Axes, text: str, at: Point, *, size: float = 9, colour: str = INK, align: str = "center") -> None:
    """Write text centred at a point, or to the right of it with align="left"."""
    axes.text(*at, text, ha=align, va="center", fontsize=size, color=colour, zorder=5)


def arrow(axes: Axes, start: Point, end: Point, colour: str = INK, *, bend: float = 0.0, width: float = 1.4) -> None:
    """Draw an arrow, bent to the left of its way for a positive `bend`."""
    axes.add_patch(
        FancyArrowPatch(
            start, end, connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>", mutation_scale=10,
            color=colour, linewidth=width, shrinkA=0, shrinkB=0, zorder=6,
        )
    )  # fmt: skip


def show(axes: Axes, picture: Any, title: str = "", colour: str = INK, **options: Any) -> None:
    """Draw a picture without axes, under a small title."""
    axes.imshow(picture, **options)
    axes.set_title(title, fontsize=8, pad=2, color=colour)
    axes.axis("off")


def class_legend(figure: Figure, *labels: Any, place: str = "outside lower center", columns: int = 6) -> None:
    """Name the classes in some label images, in VOC's colours, below the pictures."""
    from tinysegrank import voc

    found = sorted(set(np.concatenate([np.unique(each) for each in labels]).tolist()) - {voc.BACKGROUND})
    colours = voc.label_colours(np.array([found], dtype=np.uint8))[0] / 255
    names = ["void" if k == voc.VOID else voc.CLASS_NAMES[k] for k in found]
    name_colours(figure, dict(zip(names, colours, strict=True)), place=place, columns=columns)


def name_colours(
    figure: Figure, colours: dict[str, Any], *, place: str = "outside lower center", columns: int = 6
) -> None:
    """Draw a legend of patches, a name for each colour."""
    patches = [Rectangle((0, 0), 1, 1, facecolor=fill, edgecolor=GREY, label=name) for name, fill in colours.items()]
    figure.legend(handles=patches, loc=place, ncols=columns, fontsize=8)


def save_small(figure: Figure, path: str, *, dpi: int = 100, colours: int = 128) -> None:
    """Write a figure with few colours: pictures with photographs in them take a third of the bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi)
    picture = Image.open(buffer).convert("RGB")
    picture.quantize(colours, Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE).save(path, optimize=True)
