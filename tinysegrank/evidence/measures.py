"""Measurements, and a figure, that several pieces of evidence share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinysegrank import reporting
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.described import STAGE, Described, load_described
from tinysegrank.experiment.stages.evaluation import folder_of, read_confusions
from tinysegrank.metrics import Confusion


def read_described(run: Run, which: str) -> Described:
    """Read the described proposals of a split, once in each process."""
    return load_once(_load, run.folder(STAGE.name), run, which)


def _load(folder: Path, run: Run, which: str) -> Described:  # noqa: ARG001
    return load_described(run, which)


def system_confusions(run: Run, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read the confusions of each image of val, (N, K, K), of systems by name."""
    return {name: read_confusions(run, folder_of(run.settings, name)) for name in names}


def means(run: Run, confusions: np.ndarray) -> list[tuple[str, float]]:
    """Return the mean corpus IoU over confusions (..., K, K), in per cent, each with a heading.

    The first is over the classes that the run reports; if it names some, another is over all. Classes that aren't in
    the truth are left out.
    """
    confusion, reported = Confusion.of(confusions), run.settings.report.classes
    found = [confusion.mean_iou(classes=classes) for classes in ((reported, None) if reported else (None,))]
    return [(f"mean of {mean.classes} classes", 100 * mean.value) for mean in found]


def per_cent(run: Run, confusions: np.ndarray) -> float:
    """Return the first of `means`."""
    return means(run, confusions)[0][1]


def bars_beside_paper(ours: Mapping[str, Any], paper: Mapping[str, float], title: str) -> Callable[[Path], None]:
    """Return a function that draws a bar for the mean of each method's values, `ours`, beside the paper's.

    If a method has several values, a line over its bar goes from the smallest to the largest.
    """
    series: dict[str, Any] = {"this run": list(map(np.mean, ours.values())), "the paper": list(map(paper.get, ours))}
    spans = {"this run": [(min(values), max(values)) if len(values) > 1 else None for values in ours.values()]}
    label = "mean IoU on val, per cent"
    return partial(reporting.bars, groups=list(ours), series=series, label=label, title=title, ranges=spans)
