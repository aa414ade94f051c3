"""Module 2 of the run: features of every proposal, Eq. 17 and the ranking SVM, and what each of them picks."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment import candidates, classified, data, networks
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import LOSSES, Settings
from tinysegrank.files import read_arrays, write_arrays, write_json
from tinysegrank.metrics import Confusion, image_confusions, mean_of_present
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import ProposalStore
from tinysegrank.ranking import (
    BLOCKS,
    RANKERS,
    FeatureTable,
    FittedRanker,
    ImageProposals,
    Ranker,
    corpus_gains,
    describe,
    fit_ranker,
    oracle_curve,
    oracle_picks,
    pick,
    proposal_distance,
)

SCORED = (networks.START, *LOSSES)
RANKER = "ranker.safetensors"


class _Task(NamedTuple):
    settings: Settings
    which: str
    number: int
    store: Path
    folder: Path
    feature_coarse: np.ndarray
    score_coarse: dict[str, np.ndarray]
    classifiers: classified.ImageScores


def describe_proposals(run: Run) -> None:
    """Write each image's feature table, confusion matrices and Eq. 17 scores, then the tables of both splits."""
    for which in ("train", "val"):
        names, folder = data.names(run, which), run.folder("described") / which
        coarse = networks.read_coarse(run, networks.ranked_by(run.settings, which))
        scored = {loss: networks.read_coarse(run, f"val-{loss}") for loss in SCORED} if which == "val" else {}
        missing = [i for i, name in enumerate(names) if not _table_path(folder, name).is_file()]
        classifiers = classified.scores_of(run, which)
        tasks = [
            _Task(
                run.settings,
                which,
                i,
                candidates.store(run, which).root,
                folder,
                np.array(coarse[i]),
                {loss: np.array(maps[i]) for loss, maps in scored.items()},
                classifiers[i],
            )
            for i in missing
        ]
        with run.progress.count(f"{which} images", len(names)) as advance:
            advance(len(names) - len(missing))
            for _ in parallel_map(_describe_one, tasks, jobs=run.jobs):
                advance(1)


def _describe_one(task: _Task) -> None:
    split, ranking = data.split_in_worker(task.settings, task.which), task.settings.ranking
    name = split.names[task.number]
    store = ProposalStore(task.store)
    labels, map_scores = store.read(name)  # (M, H, W)
    confusions = image_confusions(split.labels(task.number), labels)  # (M, K, K)
    quality = np.nan_to_num(mean_of_present(confusions))  # an image all void: every proposal is as good
    proposals = ImageProposals(
        split.image(task.number),
        task.feature_coarse,
        labels,
        classifier_scores=task.classifiers.scores,
        size_thresholds=task.classifiers.thresholds,
        scores=map_scores,
        segments=store.read_segments(name),
        eps=ranking.eps,
    )
    cells, eps, weight = proposals.cells, ranking.eps, ranking.background_weight
    scores = {
        f"score/{loss}": proposal_distance(coarse, cells, eps=eps, background_weight=weight)
        for loss, coarse in task.score_coarse.items()
    }
    write_arrays(task.folder / f"{name}.scores.safetensors", {"confusions": confusions.astype(np.int32), **scores})
    FeatureTable.of_image(name, describe(proposals, list(BLOCKS)), quality).save(_table_path(task.folder, name))


def load_described(run: Run, which: str) -> tuple[FeatureTable, np.ndarray, dict[str, np.ndarray]]:
    """The feature table of a split, confusion matrices (rows, K, K) and Eq. 17 scores (rows,) by loss."""
    folder, names = run.folder("described") / which, data.names(run, which)
    table = FeatureTable.concatenate(FeatureTable.load(_table_path(folder, name)) for name in names)
    arrays = [read_arrays(folder / f"{name}.scores.safetensors") for name in names]
    confusions = np.concatenate([array["confusions"] for array in arrays])
    scores = {
        loss: np.concatenate([array[f"score/{loss}"] for array in arrays])
        for loss in (SCORED if which == "val" else ())
    }
    return table, confusions, scores


def fit_on_blocks(run: Run, table: FeatureTable, confusions: np.ndarray, blocks: Sequence[str]) -> FittedRanker:
    """Fit the run's kind of ranker on some blocks of a table, its C chosen by cross-validation over the images."""
    ranking, classes = run.settings.ranking, run.settings.report.classes or None
    estimator, grid = RANKERS[ranking.ranker]
    if ranking.quality == "corpus":
        first = np.flatnonzero(table.proposals == 0)
        table = replace(table, quality=corpus_gains(confusions, table.groups, first, classes=classes))
    return fit_ranker(
        table,
        confusions,
        blocks=blocks,
        balance=ranking.balance,
        estimator=estimator,
        grid=ranking.C or grid,
        splits=ranking.splits,
        seed=run.settings.seed,
        classes=classes,
        jobs=run.jobs,
    )


def train_ranker(run: Run) -> None:
    """Fit the ranking SVM on the training images' out-of-fold features, its C chosen by cross-validation."""
    table, confusions, _ = load_described(run, "train")
    fitted = fit_on_blocks(run, table, confusions, run.settings.ranking.blocks)
    chosen, folder = fitted.chosen, run.folder("ranker")
    run.progress.say(f"C = {chosen.C:g}: {max(chosen.accuracy):.1%} mean IoU of held-out picks on training images")
    tried = dict(zip(map(str, chosen.grid.tolist()), chosen.accuracy.tolist(), strict=True))
    write_json(folder / "chosen.json", {"C": chosen.C, "tried": tried, "pairs": fitted.pairs})
    fitted.ranker.save(folder / RANKER)


def pick_proposals(run: Run) -> None:
    """Write what each way of choosing picks on val: FOLDER/SYSTEM/NAME.png, and the picks as JSON."""
    table, confusions, scores = load_described(run, "val")
    systems = {f"segnet-{loss}": pick(-score, table.groups) for loss, score in scores.items()}
    systems["svm"] = pick(Ranker.load(run.folder("ranker") / RANKER).scores(table), table.groups)
    systems["1-best"] = np.flatnonzero(table.proposals == 0)
    systems["oracle"] = oracle_picks(table.quality, table.groups)
    folder, store = run.folder("picked"), candidates.store(run, "val")
    for system, rows in systems.items():
        (folder / system).mkdir(parents=True, exist_ok=True)
        for name, proposal in zip(table.images, table.proposals[rows], strict=True):
            shutil.copyfile(store.path(name, int(proposal)), folder / system / f"{name}.png")
    picks = {system: table.proposals[rows].tolist() for system, rows in systems.items()}
    write_json(folder / "picks.json", {"images": table.images, "picks": picks})
    write_json(folder / "oracle_curve.json", _oracle_curve(run, table, confusions))


def _oracle_curve(run: Run, table: FeatureTable, confusions: np.ndarray) -> dict[str, list[float]]:
    """The oracle among the first 1, 2, ... M proposals: mean image IoU, and corpus IoU of what it picks."""
    corpus, classes = [], run.settings.report.classes or None
    image = oracle_curve(table.quality, table.groups)
    for first in range(1, len(image) + 1):
        confusion = Confusion()
        confusion.matrix += confusions[oracle_picks(table.quality, table.groups, first=first)].sum(axis=0)
        corpus.append(confusion.mean_iou(classes=classes).value)
    return {"mean_image_iou": image.tolist(), "corpus_mean_iou": corpus}


def _table_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.features.safetensors"
