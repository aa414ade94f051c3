"""Coarse maps: of val by every network, and of each training image by a network that was not trained on it."""

from __future__ import annotations

import numpy as np

from tinysegrank.experiment import images
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import LOSSES, Settings
from tinysegrank.experiment.stages import features
from tinysegrank.experiment.stages.training import START, Training, network_path
from tinysegrank.files import read_array, write_array
from tinysegrank.parallel import one_blas_thread
from tinysegrank.segnet import SegNet, load_segnet, mean_of_views, predict_features, predict_store

NETWORKS = (START, *LOSSES)
"""The losses of the networks trained on all training images, which make the maps of val."""


def make(run: Run) -> None:
    """Write the coarse maps: train.npy, by networks trained without the image's fold, and val-LOSS.npy by each loss."""
    folder = run.folder(STAGE.name)
    fold_of, ranked_by_loss, parts = images.folds(run), run.settings.ranking.loss, list[np.ndarray]()
    held_out = [np.flatnonzero(fold_of == fold) for fold in range(run.settings.folds)]
    with run.progress.count("networks", len(NETWORKS) + len(held_out)) as advance:
        for loss in NETWORKS:
            write_array(folder / f"val-{loss}.npy", _predict(run, Training(-1, loss), "val", None))
            advance(1)
        for fold, numbers in enumerate(held_out):
            parts.append(_predict(run, Training(fold, ranked_by_loss), "train", numbers))
            advance(1)
    write_array(folder / "train.npy", np.concatenate(parts)[np.argsort(np.concatenate(held_out))])


def read_coarse(run: Run, which: str) -> np.ndarray:
    """Read coarse maps (N, 13, 13, K), float32, memory-mapped: "train" (out of fold), or "val-" and one of NETWORKS."""
    return read_array(run.folder(STAGE.name) / f"{which}.npy", mapped=True)


def read_ranked(image: images.ImageOfRun) -> np.ndarray:
    """Read the coarse map (h, w, K) that an image's proposals are ranked by: out of fold for a training image."""
    maps = "train" if image.which == "train" else f"val-{image.run.settings.ranking.loss}"
    return read_coarse(image.run, maps)[image.number]


def _predict(run: Run, training: Training, which: str, numbers: np.ndarray | None) -> np.ndarray:
    model, mirrored = load_segnet(network_path(run, training)), run.settings.coarse.mirrored
    store = features.store(run, which)
    return one_blas_thread(lambda: predict_store(model, store, numbers, mirrored=mirrored))


def coarse_of(model: SegNet, views: np.ndarray, settings: Settings) -> np.ndarray:
    """Compute the coarse map of any image as the run computes its own.

    views   | (2, C, 13, 13) | float16 | conv5's features of the image and its mirror image, as they are stored
    returns | (13, 13, K)    | float32 | class distributions
    """
    maps = predict_features(model, views if settings.coarse.mirrored else views[:1])
    return (mean_of_views(maps[:1], maps[1:]) if settings.coarse.mirrored else maps)[0]


STAGE = Stage(
    "coarse",
    make,
    (*images.IMAGES, "features", "training"),
    lambda s: [s.coarse.mirrored, s.folds, s.seed, s.ranking.loss],
    backend=True,
)
