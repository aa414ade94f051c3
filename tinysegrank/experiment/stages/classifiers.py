"""Image classifiers: one fitted without each fold, for that fold's images; one on all training images, for val."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank.experiment import images
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import SPLITS, ImageOfRun, images_of, model_path
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages.features import store
from tinysegrank.experiment.tasks import do_missing, map_tasks
from tinysegrank.files import read_array, write_array
from tinysegrank.ranking import (
    FullyConnected,
    ImageClassifier,
    class_shares,
    image_descriptors,
    load_fully_connected,
)

_AT_ONCE = 64  # images and mirror images
_PEAK = 5  # memory of one fit, in multiples of the descriptors': a copy in float64, and liblinear's of all that isn't 0


def make(run: Run) -> None:
    """Compute the descriptors of every image, fit the classifiers, and write both."""
    folder, fold_of = run.folder(STAGE.name), images.folds(run)
    for which in SPLITS:
        if not _descriptors(folder, which).is_file():
            write_array(_descriptors(folder, which), _describe(run, which))
    shares = np.concatenate(list(map_tasks(run, "train masks", _shares_of, images_of(run, "train"))))  # (N, K-1)
    fit = partial(_fit, folder, shares, fold_of, run.settings.classifier.C)
    size = _PEAK * _descriptors(folder, "train").stat().st_size
    numbers = range(-1, run.settings.folds)
    do_missing(run, "classifiers", fit, numbers, lambda fold: [model_path(folder, fold)], size=size)


def fully_connected(settings: Settings) -> FullyConnected | None:
    """Return fc6 and fc7 of the run's weight file, or None if it has neither or the run has no weight file.

    Raises:
        WeightsError: see `load_fully_connected`.
    """
    return load_fully_connected(settings.trunk.weights) if settings.trunk.weights else None


def scores_of(run: Run, which: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Score every image of a split; a training image by the classifier fitted without its fold.

    scores     | (5 (K-1),) | float32 | of one image, see `ImageClassifier.scores`
    thresholds | (K-1, 4)   | float64 | `ImageClassifier.thresholds` of its classifier
    """
    folder = run.folder(STAGE.name)
    descriptors = read_array(_descriptors(folder, which))[::2]  # not of the mirror images
    fold_of = images.folds(run) if which == "train" else np.full(len(descriptors), -1)
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for fold in np.unique(fold_of):
        classifier, members = read_classifier(run, int(fold)), np.flatnonzero(fold_of == fold)
        for image, scores in zip(members, classifier.scores(descriptors[members]), strict=True):
            found[int(image)] = scores, classifier.thresholds
    return [found[image] for image in range(len(descriptors))]


def read_classifier(run: Run, fold: int) -> ImageClassifier:
    """Read the classifier fitted without this fold; -1: fitted on all training images."""
    return load_once(ImageClassifier.load, model_path(run.folder(STAGE.name), fold))


def _describe(run: Run, which: str) -> np.ndarray:
    """Compute the descriptors of each image of a split and, in the next row, of its mirror image: (2 N, D)."""
    features, layers, found = store(run, which), fully_connected(run.settings), []
    with run.progress.count(f"{which} images, described", features.rows) as advance:
        for start in range(0, features.rows, _AT_ONCE):
            rows = np.arange(start, min(start + _AT_ONCE, features.rows))
            found.append(image_descriptors(features.gather("features", rows), layers))
            advance(len(rows))
    return np.concatenate(found)


def _shares_of(image: ImageOfRun) -> np.ndarray:
    return class_shares(image.labels()[None], num_classes=len(image.run.settings.classes))  # (1, K-1)


def _fit(folder: Path, shares: np.ndarray, fold_of: np.ndarray, C: float, fold: int) -> None:
    """Fit and write the classifier without one fold, given all training images' shares (N, K-1) and folds (N,)."""
    descriptors = read_array(_descriptors(folder, "train"), mapped=True)  # (2 N, D)
    chosen = np.flatnonzero(fold_of != fold)
    rows = np.stack([2 * chosen, 2 * chosen + 1], axis=1).reshape(-1)  # a mirror image shows the same
    ImageClassifier.fit(descriptors[rows], np.repeat(shares[chosen], 2, axis=0), C=C).save(model_path(folder, fold))


def _descriptors(folder: Path, which: str) -> Path:
    return folder / f"{which}.descriptors.npy"


STAGE = Stage(
    "classifiers",
    make,
    (*images.IMAGES, images.WEIGHTS, "features"),  # fc6 and fc7 are in the weight file, and in no feature
    lambda s: [s.folds, s.seed, s.classifier.C],
)
