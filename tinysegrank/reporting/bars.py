"""Horizontal bar charts, such as the accuracy of each class by several methods, or ours beside the published one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinysegrank.reporting.plots import line_styles, png

_ROW, _NARROW_ROW, _MANY = 0.19, 0.14, 40  # height of a bar in inches, below 40 bars and from 40 on


def bars(
    path: Path | str,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    label: str,
    title: str = "",
    ranges: Mapping[str, Sequence[tuple[float, float] | None]] | None = None,
) -> None:
    """Draw a PNG, 7 inches wide, of horizontal bars with their values: in each group one bar per series. See `png`.

    Args:
        groups: names down the left side, from the top.
        series: one value per group, by name of the series; None or NaN draws no bar.
        label: name and unit of the values.
        ranges: smallest and largest value per group, by name of the series, drawn as a line over the bar; a series may
            be left out, and None draws no line.
    """
    ranges = ranges or {}
    rows = len(groups) * (len(series) + 0.8)
    row = _ROW if len(groups) * len(series) < _MANY else _NARROW_ROW
    thickness = 1 / (len(series) + 0.8)
    with png(path, 7, 1.1 + row * rows + 0.2 * len(series)) as figure:
        axes = figure.add_subplot()
        for number, (name, (colour, *_)) in enumerate(line_styles(list(series)).items()):
            lengths = np.array([np.nan if value is None else value for value in series[name]], np.float64)
            place = np.arange(len(groups)) + (number - (len(series) - 1) / 2) * thickness
            axes.barh(place, lengths, thickness, color=colour, label=name, edgecolor="white", linewidth=0.4)
            ends = lengths.copy()
            for index, span in enumerate(ranges.get(name, ())):
                if span is not None:
                    axes.plot(span, [place[index]] * 2, color="black", linewidth=1.2, solid_capstyle="butt")
                    ends[index] = max(ends[index], span[1])
            for y, end, value in zip(place, ends, lengths, strict=True):
                if np.isfinite(value):
                    told = axes.annotate(f"{value:.1f}", (end, y), (3, 0), textcoords="offset points", va="center")
                    told.set(fontsize=7, color="0.25")
        axes.set_yticks(range(len(groups)), [group.replace("$", r"\$") for group in groups])
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.set_xlabel(label, parse_math=False)
        axes.set_title(title, parse_math=False)
        axes.margins(x=0.08)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=min(len(series), 3), frameon=False, fontsize=9)
