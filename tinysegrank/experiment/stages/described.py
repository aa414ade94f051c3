"""Module 2 of the run, first step: features, confusion matrices and Eq. 17 distances of every proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment.images import IMAGES, SPLITS, ImageOfRun, images_of, open_split
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.stages.classifiers import scores_of
from tinysegrank.experiment.stages.coarse import NETWORKS, read_coarse, read_ranked
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.experiment.tasks import do_missing
from tinysegrank.files import read_arrays, read_json, reading, write_arrays, write_json
from tinysegrank.metrics import image_confusions, mean_of_present
from tinysegrank.ranking import BLOCKS, FeatureTable, ImageProposals, StoredTable, describe, proposal_distance
from tinysegrank.stored_rows import StoredRows

_COLUMNS = "columns.json"


def make(run: Run) -> None:
    """Write the features of each image's proposals, their confusion matrices and, for val, Eq. 17 distances.

    The names of the feature columns are written once, to a file of their own. A val split without masks is left out.
    """
    write_columns(run, {name: block.columns(run.settings.classes.names) for name, block in BLOCKS.items()})
    for which in SPLITS:
        if open_split(run.settings, which).masks is None:
            continue
        tasks = list(zip(images_of(run, which), scores_of(run, which), strict=True))
        do_missing(run, f"{which} images", _describe, tasks, lambda task: paths(task[0]))


def _describe(task: tuple[ImageOfRun, tuple[np.ndarray, np.ndarray]]) -> None:
    image, (classifier_scores, size_thresholds) = task
    run, names = image.run, image.run.settings.classes.names
    stored = store(run, image.which)
    labels, map_scores = stored.read(image.name)  # (M, H, W)
    confusions = image_confusions(image.labels(), labels, num_classes=len(names))  # (M, K, K)
    quality = np.nan_to_num(mean_of_present(confusions))  # NaN if all is void: then proposals are equally good
    proposals = ImageProposals(
        image.image(),
        read_ranked(image),
        labels,
        classifier_scores=classifier_scores,
        size_thresholds=size_thresholds,
        scores=map_scores,
        segments=stored.read_segments(image.name),
        eps=run.settings.ranking.eps,
        class_names=names,
    )
    table = FeatureTable.of_image(image.name, describe(proposals, list(BLOCKS)), quality)
    write(image, table, {"confusions": confusions.astype(np.int32), **distances_of(image, proposals.cells)})


def write(image: ImageOfRun, table: FeatureTable, others: Mapping[str, np.ndarray]) -> None:
    """Write an image's feature table, and its proposals' other arrays: confusion matrices and Eq. 17 distances."""
    features, scores = paths(image)
    write_arrays(scores, others)
    table.save(features)


def distances_of(image: ImageOfRun, cells: np.ndarray) -> dict[str, np.ndarray]:
    """Compute Eq. 17 of a val image's proposals against each network's coarse map; return {} for a training image.

    cells   | (M, 13, 13, K) | float32 | share of each class in each cell of a proposal
    returns | each (M,)      | float64 | by "score/LOSS"; smaller is better
    """
    ranking = image.run.settings.ranking
    options = {"eps": ranking.eps, "background_weight": ranking.background_weight}
    return {
        f"score/{loss}": proposal_distance(read_coarse(image.run, f"val-{loss}")[image.number], cells, **options)
        for loss in (NETWORKS if image.which == "val" else ())
    }


class Described(NamedTuple):
    """The described proposals of a split, one row each; features, and confusions of train, are read when asked for.

    table      | StoredTable  |         | features, quality and origin of the proposals
    confusions | (rows, K, K) | int32   | pixels of each proposal; row: true class
    distances  | each (rows,) | float64 | of Eq. 17, a dict with the network's loss as key, for val; {} for train
    """

    table: StoredTable
    confusions: np.ndarray | StoredRows
    distances: dict[str, np.ndarray]


def load_described(run: Run, which: str) -> Described:
    """Read the described proposals of a split, "train" or "val"."""
    features, scores = zip(*(paths(image) for image in images_of(run, which)), strict=True)
    table, losses = StoredTable.open(features, read_columns(run)), NETWORKS if which == "val" else ()
    confusions = StoredRows(partial(_read, scores), np.bincount(table.groups), _read(scores, 0))
    if not losses:
        return Described(table, confusions, {})
    parts = [[arrays[f"score/{loss}"] for loss in losses] for arrays in map(read_arrays, scores)]
    distances = dict(zip(losses, map(np.concatenate, zip(*parts, strict=True)), strict=True))
    return Described(table, np.asarray(confusions), distances)  # evidence asks for them again and again


def _read(scores: Sequence[Path], number: int) -> np.ndarray:
    return read_arrays(scores[number])["confusions"]


def write_columns(run: Run, columns: Mapping[str, Sequence[str]]) -> None:
    """Write the names of the columns of each block of features."""
    write_json(run.folder(STAGE.name) / _COLUMNS, [[name, list(names)] for name, names in columns.items()])


def read_columns(run: Run) -> dict[str, tuple[str, ...]]:
    """Read the names of the columns of each block of features, in order."""
    path = run.folder(STAGE.name) / _COLUMNS
    with reading(path):
        return {str(name): tuple(map(str, names)) for name, names in read_json(path)}


def paths(image: ImageOfRun) -> tuple[Path, Path]:
    """Return an image's two files: its proposals' features, and their confusion matrices and Eq. 17 distances."""
    folder = image.run.folder(STAGE.name) / image.which
    return folder / f"{image.name}.features.safetensors", folder / f"{image.name}.scores.safetensors"


STAGE = Stage(
    "described",
    make,
    (*IMAGES, "coarse", "classifiers", "proposals"),
    lambda s: [s.ranking.eps, s.ranking.background_weight, s.ranking.loss, list(BLOCKS)],
)
