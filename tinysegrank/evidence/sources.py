"""What the pieces read of a run: its described proposals, its picks, and confusions of single images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tinysegrank.evidence.pieces import Claim
from tinysegrank.evidence.verdicts import verdict, verdict_of_sameness
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import picked
from tinysegrank.experiment.stages.described import Described, load_described
from tinysegrank.metrics import Confusion, paired_difference


def described(run: Run, which: str) -> Described:
    """Read the described proposals of a split, once in each process."""
    return load_once(_load, run.folder("described"), run, which)


def _load(folder: Path, run: Run, which: str) -> Described:  # noqa: ARG001
    return load_described(run, which)


def picked_rows(run: Run, system: str) -> np.ndarray:
    """Return the row of the val table that a system of this run picked, (images,) int64."""
    return picked.picked_rows(run, described(run, "val").table, system)


def total(confusions: np.ndarray) -> Confusion:
    """Add up confusions of images."""
    out = Confusion(confusions.shape[-1])
    out.matrix += confusions.sum(axis=0, dtype=np.int64)
    return out


def per_cent(run: Run, confusion: Confusion) -> float:
    """Mean corpus IoU of the classes that the run reports, those absent from the truth left out."""
    return 100 * confusion.mean_iou(classes=run.settings.report.classes or None).value


def per_cents(run: Run, matrices: np.ndarray) -> np.ndarray:
    """`per_cent` of each of some confusions | (E, K, K) to (E,)."""
    return np.array([per_cent(run, total(matrix[None])) for matrix in matrices])


def mean_headings(run: Run, confusion: Confusion) -> tuple[str, ...]:
    """The headings of `means`: the classes reported, and all that are in the truth where these are more."""
    everything = confusion.mean_iou().classes
    common = run.settings.report.classes
    if not common:
        return (f"mean of {everything} classes",)
    return (f"mean of {confusion.mean_iou(classes=common).classes} classes", f"mean of {everything} classes")


def means(run: Run, confusion: Confusion) -> tuple[float, ...]:
    """Mean corpus IoU in per cent under each of `mean_headings`."""
    everything = 100 * confusion.mean_iou().value
    return (per_cent(run, confusion), everything) if run.settings.report.classes else (everything,)


def compare(
    run: Run,
    paper: str,
    better: tuple[str, np.ndarray],
    worse: tuple[str, np.ndarray],
    *,
    same: bool = False,
    seed: int = 0,
) -> Claim:
    """Set a claim that one method is better than another beside what this run shows, with the interval of val images.

    better, worse | name, (N, K, K) | integer | confusion of each image of val

    Args:
        run: the run.
        paper: the claim.
        better: the method that is claimed to be better.
        worse: the other.
        same: the claim is that both are about the same.
        seed: of the images drawn for the interval.
    """
    values = [per_cent(run, total(of_method)) for _, of_method in (better, worse)]
    classes = run.settings.report.classes or None
    found = paired_difference(better[1], worse[1], rng=np.random.default_rng([seed, 17]), classes=classes)
    gap, low, high = (100 * value for value in found)
    here = (
        f"{better[0]} {values[0]:.1f}, {worse[0]} {values[1]:.1f}: {gap:+.1f} points; "
        f"on val sets drawn anew from these images {low:+.1f} to {high:+.1f} (95 %)."
    )
    return Claim(paper, here, verdict_of_sameness(low, high) if same else verdict(found.value, clear=found.clear))


def class_names(classes: Iterable[int]) -> str:
    """Names of classes with commas between."""
    from tinysegrank.voc import CLASS_NAMES

    return ", ".join(CLASS_NAMES[index] for index in classes)
