"""Line plots side by side, with bands around curves that average several trainings; and what all figures share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinysegrank.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by readers of every colour vision; see jfly.uni-koeln.de/color
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":")
_MARKERS = ("o", "s", "^", "D", "v")
_LOSSES = {
    "CE": ("#009E73", "--", "s"),
    "IOU": ("#D55E00", ":", "^"),
    "UOI": ("#0072B2", "-", "o"),
    "0.7 UOI + 0.3 CE": ("#E69F00", "-.", "D"),
}
MOST_INSIDE = 6  # curves in a plot whose legend is inside it; with more it is beside the plot


@contextmanager
def png(path: Path | str, width: float, height: float, *, dpi: int = 130, placed: bool = False) -> Iterator[Figure]:
    """Yield an empty figure of a size in inches; at the end of the block, write it as a PNG, atomically.

    The same drawing gives the same file, to the byte, with one version of Matplotlib. `placed` says that everything is
    placed by hand, instead of by Matplotlib's constrained layout.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi)
    figure.set_layout_engine("none" if placed else "constrained")
    FigureCanvasAgg(figure)
    yield figure
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})


def line_styles(names: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """Return (colour, dash pattern, marker) by name, in turn from fixed lists; a loss has the same in every figure."""
    return {
        name: _LOSSES.get(name) or (_COLOURS[n % len(_COLOURS)], _DASHES[n % len(_DASHES)], _MARKERS[n % len(_MARKERS)])
        for n, name in enumerate(dict.fromkeys(names))  # cycles of 7, 3 and 5: neighbours differ in all three
    }


@dataclass(frozen=True)
class Curve:
    """The points of a line, and the edges of a band around it if there is one.

    x, y      | (n,)         | numbers | finite
    low, high | (n,) or None | numbers | finite, both or neither
    """

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    @classmethod
    def of_mean(cls, x: np.ndarray, series: np.ndarray) -> Curve:
        """Return the mean of several series where all are finite, with a band from the smallest to the largest.

        x      | (n,)   | numbers |
        series | (S, n) | numbers |
        """
        finite = np.isfinite(series).all(axis=0)
        inside = series[:, finite]
        return cls(x[finite], inside.mean(axis=0), inside.min(axis=0), inside.max(axis=0))


@dataclass(frozen=True)
class Plot:
    """A plot: curves over common axes."""

    curves: Mapping[str, Curve]  # by the names in the legend
    x_label: str  # name and unit
    y_label: str
    title: str = ""
    logarithmic: str = ""  # axes that are, "x", "y" or "xy"; their values must be above 0
    smoothing: int = 1  # points in the running mean that is drawn over a pale raw curve; 1 draws the raw curve alone


def plots(path: Path | str, side_by_side: Sequence[Plot]) -> None:
    """Draw a PNG of plots side by side, 5.6 x 4 inches each; a name has the same colour in each. See `png`."""
    styles = line_styles([name for plot in side_by_side for name in plot.curves])
    with png(path, 5.6 * len(side_by_side), 4) as figure:
        for axes, plot in zip(figure.subplots(1, len(side_by_side), squeeze=False)[0], side_by_side, strict=True):
            _draw(axes, plot, styles)


def loss_curves(
    path: Path | str, runs: Mapping[str, tuple[np.ndarray, np.ndarray]], *, title: str = "Training"
) -> None:
    """Draw training loss against step for several runs, each raw and, if the longest has 100 points, as a running mean.

    Each mean is over a fiftieth of the longest run's points, also at the ends, so a smooth line is shorter; of a run
    with fewer points it is the mean of all.

    runs | name to steps, losses: (n,), (n,) | numbers | finite
    """
    curves = {name: Curve(steps, losses) for name, (steps, losses) in runs.items()}
    smoothing = max([1, *(len(curve.y) // 50 for curve in curves.values())])
    plots(path, [Plot(curves, "step", "loss of the minibatch", title, smoothing=smoothing)])


def running_mean(curve: Curve, width: int) -> Curve:
    """Return the curve of means of `width` successive points, each at the middle one's x; of fewer, the mean of all."""
    width = min(width, len(curve.y))
    means = np.lib.stride_tricks.sliding_window_view(np.asarray(curve.y, np.float64), width).mean(axis=1)
    return Curve(curve.x[(width - 1) // 2 :][: len(means)], means)


def _draw(axes: Any, plot: Plot, styles: Mapping[str, tuple[str, str, str]]) -> None:
    for name, curve in plot.curves.items():
        colour, dash, marker = styles[name]
        if curve.low is not None:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
        if plot.smoothing > 1:
            axes.plot(curve.x, curve.y, color=colour, alpha=0.2, linewidth=0.8)
        drawn = running_mean(curve, plot.smoothing) if plot.smoothing > 1 else curve
        marker = marker if len(curve.x) <= 30 else ""
        axes.plot(drawn.x, drawn.y, dash, color=colour, linewidth=1.8, label=name, marker=marker, markersize=4)
    scales = {axis: "log" if axis in plot.logarithmic else "linear" for axis in "xy"}
    axes.set(xscale=scales["x"], yscale=scales["y"])
    axes.set_xlabel(plot.x_label, parse_math=False)
    axes.set_ylabel(plot.y_label, parse_math=False)
    axes.set_title(plot.title, parse_math=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if len(plot.curves) > MOST_INSIDE else {}
    axes.legend(frameon=False, **beside)
