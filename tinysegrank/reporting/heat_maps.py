"""Heat maps of SegNet's coarse class probabilities beside their image, as in the paper's Figure 4."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinysegrank.reporting.plots import png
from tinysegrank.voc import VOC, Classes, overlay

_WIDTH = 1.45  # of one image in the figure, inches
_TALLEST = 1.4  # largest ratio of an image's height to its width
_PER_ROW = 8


def heat_maps(
    path: Path | str,
    image: np.ndarray,
    maps: np.ndarray,
    *,
    labels: Mapping[str, np.ndarray] | None = None,
    title: str = "",
    classes: Classes = VOC,
) -> None:
    """Draw an image, its label maps, and one heat map per class, dark for 0 and bright for 1; see `png` for the file.

    image  | (H, W, 3)   | uint8    | R, G, B
    maps   | (h, w, K)   | floating | 0..1, the probability of each class in each cell
    labels | each (H, W) | uint8    | label maps to draw over the image, by heading

    Paper: the semantic feature maps of section 3.1, its Figure 4.
    """
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    drawn = [(heading, overlay(image, of, classes=classes)) for heading, of in (labels or {}).items()]
    pictures = [("image", image), *drawn]
    rows = -(-(len(pictures) + len(classes)) // _PER_ROW)
    ratio = image.shape[0] / image.shape[1]
    # all lengths in inches, from the upper left; each cell is a heading with an image below it
    # placed by hand, as measuring two dozen headings takes seconds
    tall = _WIDTH * min(ratio, _TALLEST)
    width, height = _WIDTH * _PER_ROW + 0.7, 0.35 + rows * (tall + 0.28)
    with png(path, width, height, dpi=110, placed=True) as figure:

        def place(number: int, heading: str) -> Axes:
            row, column = divmod(number, _PER_ROW)
            left, top = column * _WIDTH, 0.35 + row * (tall + 0.28)
            spot = ((left + 0.04) / width, 1 - (top + 0.2 + tall) / height, (_WIDTH - 0.08) / width, tall / height)
            figure.text((left + _WIDTH / 2) / width, 1 - (top + 0.15) / height, heading, ha="center", fontsize=7.5,
                        parse_math=False)  # fmt: skip
            axes = figure.add_axes(spot)
            axes.set_axis_off()
            return axes

        for number, (heading, picture) in enumerate(pictures):
            place(number, heading).imshow(picture, interpolation="antialiased", aspect="auto")
        for number, (name, heat) in enumerate(
            zip(classes.names, np.moveaxis(maps, 2, 0), strict=True), start=len(pictures)
        ):
            axes = place(number, f"{name}, up to {heat.max():.2f}")
            axes.imshow(heat, vmin=0, vmax=1, cmap="inferno", interpolation="nearest", aspect="auto")
        bar = figure.add_axes((1 - 0.55 / width, 0.15, 0.12 / width, 0.65))
        figure.colorbar(ScalarMappable(norm=Normalize(0, 1), cmap="inferno"), cax=bar)
        figure.text(0.5, 1 - 0.2 / height, title, ha="center", fontsize=10, parse_math=False)
