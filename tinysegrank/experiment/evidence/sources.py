"""What the pieces read of a run: its described proposals, its picks, and confusions of single images."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment import data, ranked
from tinysegrank.experiment.evidence.pieces import Claim
from tinysegrank.experiment.evidence.verdicts import verdict, verdict_of_sameness
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import read_json
from tinysegrank.metrics import Confusion, image_confusions, paired_difference
from tinysegrank.parallel import parallel_map
from tinysegrank.ranking import FeatureTable
from tinysegrank.voc import read_labels

_AT_ONCE = 32


class Described(NamedTuple):
    """The proposals of a split.

    confusions | (rows, K, K) | integer | pixels of each proposal alone
    scores     | each (rows,) | float64 | of Eq. 17 by loss, on val
    """

    table: FeatureTable
    confusions: np.ndarray
    scores: dict[str, np.ndarray]


def described(run: Run, which: str) -> Described:
    """Read the feature table, confusions and scores of a split, once in each process."""
    return _described(run.path.resolve(), run.key("described"), run, which)


@lru_cache(maxsize=2)
def _described(path: Path, key: str, run: Run, which: str) -> Described:  # noqa: ARG001  # they tell runs apart
    return Described(*ranked.load_described(run, which))


def picked_rows(run: Run, system: str) -> np.ndarray:
    """The row of the val table that a system of this run picked, (images,) int64."""
    table, record = described(run, "val").table, read_json(run.folder("picked") / "picks.json")
    row_of = {pair: row for row, pair in enumerate(zip(table.groups.tolist(), table.proposals.tolist(), strict=True))}
    return np.array([row_of[group, proposal] for group, proposal in enumerate(record["picks"][system])])


class _Task(NamedTuple):
    settings: Settings
    folder: Path
    images: range


def folder_confusions(run: Run, place: str) -> np.ndarray:
    """Confusions of the label maps RUN/PLACE/NAME.png with the truth of each image of val, (N, K, K) int64."""
    count = len(data.names(run, "val"))
    chunks = [range(i, min(i + _AT_ONCE, count)) for i in range(0, count, _AT_ONCE)]
    tasks = [_Task(run.settings, run.path / place, images) for images in chunks]
    return np.concatenate(list(parallel_map(_confusions, tasks, jobs=run.jobs)))


def _confusions(task: _Task) -> np.ndarray:
    split = data.split_in_worker(task.settings, "val")
    maps = (read_labels(task.folder / f"{split.names[i]}.png") for i in task.images)
    return np.concatenate([image_confusions(split.labels(i), m[None]) for i, m in zip(task.images, maps, strict=True)])


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
