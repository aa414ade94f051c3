"""The proposals of val that each system picks."""

from __future__ import annotations

import shutil

import numpy as np

from tinysegrank.experiment.images import IMAGES
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.stages.coarse import NETWORKS
from tinysegrank.experiment.stages.described import Described, load_described
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.experiment.stages.ranker import load_ranker
from tinysegrank.files import read_json, reading, write_json
from tinysegrank.metrics import Confusion
from tinysegrank.ranking import StoredTable, oracle_picks, oracle_quality, pick
from tinysegrank.stamps import check_file

SYSTEMS = (*(f"segnet-{loss}" for loss in NETWORKS), "svm", "1-best", "oracle")
"""The ways of choosing, which are also the names of their folders."""
_PICKS, _CURVE = "picks.json", "oracle_curve.json"


def make(run: Run) -> None:
    """Write each system's picks as SYSTEM/NAME.png, their numbers as JSON, and the accuracy of the oracle."""
    described = load_described(run, "val")
    table = described.table
    systems = {f"segnet-{loss}": pick(-distance, table.groups) for loss, distance in described.distances.items()}
    systems["svm"] = pick(load_ranker(run).scores(table), table.groups)
    systems["1-best"] = np.flatnonzero(table.proposals == 0)
    systems["oracle"] = oracle_picks(table.quality, table.groups)
    folder, proposals = run.folder(STAGE.name), store(run, "val")
    with run.progress.count("systems", len(SYSTEMS)) as advance:
        for system in SYSTEMS:
            (folder / system).mkdir(parents=True, exist_ok=True)
            for name, number in zip(table.images, table.proposals[systems[system]], strict=True):
                chosen = proposals.path(name, int(number))
                check_file(chosen)
                shutil.copyfile(chosen, folder / system / f"{name}.png")
            advance(1)
    picks = {system: table.proposals[systems[system]].tolist() for system in SYSTEMS}
    write_json(folder / _PICKS, {"images": table.images, "picks": picks})
    write_json(folder / _CURVE, _oracle_curve(run, described))


def picked_rows(run: Run, table: StoredTable, system: str) -> np.ndarray:
    """Read which row of `table` a system picked for each image of val: (N,) int64."""
    path = run.folder(STAGE.name) / _PICKS
    row_of = {pair: row for row, pair in enumerate(zip(table.groups.tolist(), table.proposals.tolist(), strict=True))}
    with reading(path):
        picks = read_json(path)["picks"][system]
        return np.array([row_of[group, proposal] for group, proposal in enumerate(picks)])


def read_oracle_curve(run: Run) -> dict[str, list[float]]:
    """Read the oracle's mean_image_iou and corpus_mean_iou, 0..1, among the first 1, 2, ... M proposals of an image."""
    curve: dict[str, list[float]] = read_json(run.folder(STAGE.name) / _CURVE)
    return curve


def _oracle_curve(run: Run, val: Described) -> dict[str, list[float]]:
    corpus, classes, table = [], run.settings.report.classes or None, val.table
    image = oracle_quality(table.quality, table.groups)
    for first in range(1, len(image) + 1):
        confusions = val.confusions[oracle_picks(table.quality, table.groups, first=first)]
        corpus.append(Confusion.of(confusions).mean_iou(classes=classes).value)
    return {"mean_image_iou": image.tolist(), "corpus_mean_iou": corpus}


STAGE = Stage("picked", make, (IMAGES[1], "described", "ranker", "proposals/val"), lambda s: s.report.classes)
