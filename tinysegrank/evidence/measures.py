"""Measurements, and a figure, that several pieces of evidence share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.described import Described, load_described
from tinysegrank.experiment.stages.evaluation import folder_of, read_confusions
from tinysegrank.metrics import Confusion
from tinysegrank.voc import BACKGROUND, CLASS_NAMES


def described(run: Run, which: str) -> Described:
    """Read the described proposals of a split, once in each process."""
    return load_once(_load, run.folder("described"), run, which)


def _load(folder: Path, run: Run, which: str) -> Described:  # noqa: ARG001
    return load_described(run, which)


def system_confusions(run: Run, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read the confusions of each image of val, (N, K, K), of systems by name."""
    return {name: read_confusions(run, folder_of(run.settings, name)) for name in names}


def summed(confusions: np.ndarray) -> Confusion:
    """Add up the confusions (N, K, K) of several images."""
    confusion = Confusion(confusions.shape[-1])
    confusion.matrix += confusions.sum(axis=0, dtype=np.int64)
    return confusion


def per_cent(run: Run, confusion: Confusion) -> float:
    """Return the mean corpus IoU, in per cent, of the classes that the run reports, skipping any not in the truth."""
    return 100 * confusion.mean_iou(classes=run.settings.report.classes or None).value


def per_cents(run: Run, matrices: np.ndarray) -> np.ndarray:
    """Return `per_cent` of each of several confusions | (E, K, K) to (E,)."""
    return np.array([per_cent(run, summed(matrix[None])) for matrix in matrices])


def mean_headings(run: Run, confusion: Confusion) -> tuple[str, ...]:
    """Return the headings of `means`: the classes reported, and then all classes in the truth if there are more."""
    everything, common = confusion.mean_iou().classes, run.settings.report.classes
    reported = (f"mean of {confusion.mean_iou(classes=common).classes} classes",) if common else ()
    return (*reported, f"mean of {everything} classes")


def means(run: Run, confusion: Confusion) -> tuple[float, ...]:
    """Return the mean corpus IoU, in per cent, under each of `mean_headings`."""
    everything = 100 * confusion.mean_iou().value
    return (per_cent(run, confusion), everything) if run.settings.report.classes else (everything,)


def background_pixels(confusions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the pixels labelled background, those that are background in truth, and all | (..., K, K) to (...) each."""
    return (
        confusions[..., BACKGROUND].sum(axis=-1),
        confusions[..., BACKGROUND, :].sum(axis=-1),
        confusions.sum((-2, -1)),
    )


def class_names(classes: Iterable[int]) -> str:
    """Return the names of classes with commas between."""
    return ", ".join(CLASS_NAMES[index] for index in classes)


def draw_beside_paper(
    path: Path, ours: Mapping[str, Sequence[float] | np.ndarray], paper: Mapping[str, float | None], *, title: str
) -> None:
    """Draw a bar for each method's mean beside the paper's.

    If a method has several values, a line over its bar goes from the smallest to the largest.
    """
    series: dict[str, list[float | None]] = {
        "this run": [float(np.mean(values)) for values in ours.values()],
        "the paper": [paper.get(name) for name in ours],
    }
    spans = {"this run": [(float(min(v)), float(max(v))) if len(v) > 1 else None for v in ours.values()]}
    reporting.bars(path, list(ours), series, label="mean IoU on val, per cent", title=title, ranges=spans)
