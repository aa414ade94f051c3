"""The images of val with all their label maps, for the browser in the HTML report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.evidence.measures import system_confusions
from tinysegrank.experiment.images import ImageOfRun, images_of
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import coarse, described, picked, proposals, ranker, upsampled
from tinysegrank.experiment.stages.described import load_described
from tinysegrank.experiment.stages.evaluation import folder_of
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.experiment.stages.ranker import load_ranker
from tinysegrank.experiment.stages.report import TABLE_2, panel_row
from tinysegrank.experiment.tasks import map_tasks
from tinysegrank.metrics import mean_of_present
from tinysegrank.reporting import Browser, packed

NEEDS = (coarse.STAGE, upsampled.STAGE, proposals.STAGE, described.STAGE, ranker.STAGE)
_COARSE, _SUPERPIXEL = "coarse argmax", "superpixels"  # headings of maps


class _Task(NamedTuple):
    image: ImageOfRun
    iou: dict[str, float]  # of the image by each method, per cent
    picks: dict[str, int]  # number of the proposal that each method picks
    quality: list[float]  # IoU of each proposal, per cent
    notes: list[str]  # the scores of each, in words


def browse_val(run: Run, most: int) -> Browser:
    """Return a browser of at most `most` images of val, evenly spread."""
    val, names = load_described(run, "val"), {name: folder_of(run.settings, name) for name in TABLE_2}
    table, distances = val.table, val.distances[run.settings.ranking.loss]
    scores = load_ranker(run).scores(table)
    notes = [f"score {score:.3f}, Eq. 17 {distance:.4g}" for score, distance in zip(scores, distances, strict=True)]
    iou = {name: _per_cent(mean_of_present(of)) for name, of in system_confusions(run, TABLE_2).items()}
    of_picked = {name: folder.split("/")[1] for name, folder in names.items() if folder.startswith("picked/")}
    picks = {name: table.proposals[picked.picked_rows(run, table, system)] for name, system in of_picked.items()}
    images, tasks = images_of(run, "val"), []
    for number in np.linspace(0, len(images) - 1, min(most, len(images))).astype(int):
        rows = np.flatnonzero(table.groups == number)
        tasks.append(
            _Task(
                images[number],
                {name: float(of[number]) for name, of in iou.items()},
                {name: int(of[number]) for name, of in picks.items()},
                _per_cent(table.quality[rows]).tolist(),
                [notes[row] for row in rows],
            )
        )
    shown = tuple(map_tasks(run, "images of the report", _packed, tasks))
    return Browser(shown, TABLE_2, "1-best", "SegNet+SVM", run.settings.classes)


def _packed(task: _Task) -> dict[str, Any]:
    image, (proposals, _) = task.image, store(task.image.run, "val").read(task.image.name)
    row = panel_row(image, {_SUPERPIXEL: "superpixel upsampling"})
    headings = [f"proposal {m}" for m in range(1, len(proposals) + 1)]
    labels = {**row.labels, **dict(zip(headings, proposals, strict=True))}
    row = replace(row, labels=labels, captions=dict(zip(headings, task.notes, strict=True)))
    picks = {"naive upsampling": _COARSE, "superpixel upsampling": _SUPERPIXEL}
    ious = {heading: task.iou[method] for method, heading in picks.items()}
    ious |= dict(zip(headings, task.quality, strict=True))
    return packed(row, task.iou, picks | {name: headings[m] for name, m in task.picks.items()}, ious)


def _per_cent(iou: np.ndarray) -> np.ndarray:
    """Return fractions in per cent, to two digits; NaN, the IoU of an image all void, becomes 0."""
    return (100 * np.nan_to_num(iou)).round(2)
