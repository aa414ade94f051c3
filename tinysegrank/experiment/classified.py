"""Image classifiers of the run: fitted with each fold left out for the training images, and on all of them for val."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment import data
from tinysegrank.experiment.features import store
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import atomic_write
from tinysegrank.parallel import parallel_map
from tinysegrank.ranking import (
    FullyConnected,
    ImageClassifier,
    class_shares,
    image_descriptors,
    load_fully_connected,
)
from tinysegrank.segnet import FeatureStore

FOLDER = "classified"
_AT_ONCE = 64  # images


class ImageScores(NamedTuple):
    """What the classifiers say of one image, and the sizes that they were asked about.

    scores     | (5 (K-1),) | float32 | `ImageClassifier.scores`
    thresholds | (K-1, 4)   | float64 | `ImageClassifier.thresholds_`
    """

    scores: np.ndarray
    thresholds: np.ndarray


class _Shares(NamedTuple):
    settings: Settings
    images: range


class _Fit(NamedTuple):
    folder: Path
    fold: int
    descriptors: Path
    shares: np.ndarray
    chosen: np.ndarray  # images to fit on
    C: float


def classify(run: Run) -> None:
    """Write the classifiers, and their scores of every image; a training image's are by one that did not see it."""
    folder, fold_of = run.folder(FOLDER), data.folds(run)
    folder.mkdir(parents=True, exist_ok=True)
    for which in ("train", "val"):
        if not _descriptors(folder, which).is_file():
            _save(_descriptors(folder, which), _describe(store(run, which), fully_connected(run.settings)))
    count = len(fold_of)
    parts = [_Shares(run.settings, range(i, min(i + _AT_ONCE, count))) for i in range(0, count, _AT_ONCE)]
    shares = np.concatenate(list(parallel_map(_shares_of, parts, jobs=run.jobs)))  # (N, K-1)
    source, C = _descriptors(folder, "train"), run.settings.classifier.C
    tasks = [
        _Fit(folder, fold, source, shares, np.flatnonzero(fold_of != fold), C)
        for fold in range(-1, run.settings.folds)
        if not data.model_path(folder, fold).is_file()
    ]
    with run.progress.count("classifiers", run.settings.folds + 1) as advance:
        advance(run.settings.folds + 1 - len(tasks))
        for _ in parallel_map(_fit, tasks, jobs=run.jobs):
            advance(1)


def fully_connected(settings: Settings) -> FullyConnected | None:
    """fc6 and fc7 of the run's weight file, where it has them."""
    return load_fully_connected(settings.trunk.weights) if settings.trunk.weights else None


def scores_of(run: Run, which: str) -> list[ImageScores]:
    """The scores of every image of a split."""
    folder = run.folder(FOLDER)
    descriptors = np.load(_descriptors(folder, which), allow_pickle=False)[::2]  # not of the mirror images
    fold_of = data.folds(run) if which == "train" else np.full(len(descriptors), -1)
    found: list[ImageScores | None] = [None] * len(descriptors)
    for fold in np.unique(fold_of):
        classifier, images = read_classifier(folder, int(fold)), np.flatnonzero(fold_of == fold)
        for image, scores in zip(images, classifier.scores(descriptors[images]), strict=True):
            found[image] = ImageScores(scores, classifier.thresholds_)
    return [scores for scores in found if scores is not None]


@lru_cache(maxsize=2)
def read_classifier(folder: Path, fold: int) -> ImageClassifier:
    """The classifier that one fold did not reach; -1: fitted on all training images."""
    return ImageClassifier.load(data.model_path(folder, fold))


def _describe(features: FeatureStore, layers: FullyConnected | None) -> np.ndarray:
    """Descriptors (rows, D) of every image and its mirror image in turn."""
    starts = range(0, features.rows, _AT_ONCE)
    rows = (np.arange(start, min(start + _AT_ONCE, features.rows)) for start in starts)
    return np.concatenate([image_descriptors(features.gather("features", some), layers) for some in rows])


def _shares_of(task: _Shares) -> np.ndarray:
    split = data.split_in_worker(task.settings, "train")
    return np.concatenate([class_shares(split.labels(i)[None]) for i in task.images])


def _fit(task: _Fit) -> None:
    descriptors = np.load(task.descriptors, allow_pickle=False)  # (2 N, D)
    rows = np.stack([2 * task.chosen, 2 * task.chosen + 1], axis=1).reshape(-1)  # a mirror image shows the same
    shares = np.repeat(task.shares[task.chosen], 2, axis=0)
    ImageClassifier(C=task.C).fit(descriptors[rows], shares).save(data.model_path(task.folder, task.fold))


def _descriptors(folder: Path, which: str) -> Path:
    return folder / f"{which}.descriptors.npy"


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_write(path) as stream:
        np.save(stream, array, allow_pickle=False)
