"""Line charts of several runs, such as loss against training step or accuracy against number of proposals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.files import atomic_write

# Okabe and Ito's colours, told apart by readers of every colour vision; see jfly.uni-koeln.de/color
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":")


def curves(
    path: Path | str,
    runs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    smoothing: int = 1,
    logarithmic: bool = False,
    dpi: int = 130,
) -> None:
    """Draw a PNG with one line per run.

    runs | name to x, y: (n,), (n,) | numbers | finite

    Args:
        path: the PNG file, written atomically.
        x_label: name and unit of x.
        y_label: name and unit of y.
        title: title of the figure.
        smoothing: points in the running mean that is drawn over a pale raw curve; 1 draws the raw curve alone.
        logarithmic: use a logarithmic y axis; y must then be above 0.
        dpi: dots per inch of the 6.4 x 4 inch figure.

    Raises:
        ShapeError: there is no run, x and y differ in length, are empty or not finite, or an option is out of range.
    """
    if not runs or smoothing < 1:
        raise ShapeError(f"runs, smoothing: {len(runs)} runs, smoothing {smoothing}; give at least 1 of each")
    points = {name: _check(name, *run, logarithmic=logarithmic) for name, run in runs.items()}
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    styles = line_styles(list(points))
    for name, (x, y) in points.items():
        colour, dash = styles[name]
        if smoothing > 1:
            axes.plot(x, y, color=colour, alpha=0.2, linewidth=0.8)
        marker = "o" if len(x) <= 30 else ""
        axes.plot(
            x, running_mean(y, smoothing), dash, color=colour, linewidth=1.8, label=name, marker=marker, markersize=3
        )
    axes.set(xlabel=x_label, ylabel=y_label, title=title, yscale="log" if logarithmic else "linear")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})


def loss_curves(
    path: Path | str,
    runs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    title: str = "Training",
    y_label: str = "loss of the minibatch",
    logarithmic: bool = False,
) -> None:
    """Draw training loss against step for several runs, smoothed over a fiftieth of the longest run.

    runs | name to steps, losses: (n,), (n,) | numbers | finite

    Raises:
        ShapeError: see `curves`.
    """
    smoothing = max([1, *(len(np.atleast_1d(losses)) // 50 for _, losses in runs.values())])
    curves(path, runs, x_label="step", y_label=y_label, title=title, smoothing=smoothing, logarithmic=logarithmic)


def line_styles(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and a dash pattern for each distinct name, assigned in order."""
    return {
        name: (_COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)])
        for number, name in enumerate(dict.fromkeys(names))
    }


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Return the centred running mean over `width` values, over fewer at the ends.

    values  | (n,) | floating |
    returns | (n,) | float64  |
    """
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    index = np.arange(len(values))
    start, end = np.maximum(index - (width - 1) // 2, 0), np.minimum(index + width // 2 + 1, len(values))
    return (total[end] - total[start]) / (end - start)


def _check(name: str, x: np.ndarray, y: np.ndarray, *, logarithmic: bool) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise ShapeError(f"{name}: x of {x.shape} and y of {y.shape}; give the same number of points, at least one")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ShapeError(f"{name}: NaN or infinity among its points; end the curve of a diverged training before them")
    if logarithmic and y.min() <= 0:
        raise ShapeError(f"{name}: {y.min()} on a logarithmic axis; draw it with logarithmic=False")
    return x, y
