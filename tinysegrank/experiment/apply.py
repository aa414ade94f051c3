"""Label photographs with a finished run: propose, rank, and write the chosen labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tinysegrank.errors import DatasetError
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.stages import (
    classifiers,
    coarse,
    pooled,
    proposals,
    proposing,
    ranker,
    segments,
    training,
    trunk,
)
from tinysegrank.files import atomic_write
from tinysegrank.outputs import check_results
from tinysegrank.ranking import FeatureTable, ImageProposals, describe
from tinysegrank.segnet import SegNet, load_segnet
from tinysegrank.voc import overlay, read_image, write_labels
from tinysegrank.voc.dataset import SMALLEST_SIDE
from tinysegrank.voc.images import opened

NEEDS = tuple(stage.STAGE for stage in (trunk, training, classifiers, segments, pooled, proposing, ranker))
"""The stages whose results label a photograph, if they are used."""


class Segmenter:
    """The parts of a finished run that label a new image.

    Args:
        run_path: the run folder.

    Raises:
        CheckpointError: the folder is not a finished run.
    """

    def __init__(self, run_path: Path, *, progress: Progress) -> None:
        self.run = run = read_run(run_path, jobs=1, progress=progress)
        run.require([stage.name for stage in NEEDS if stage.used(run.settings)], "labelling a photograph")
        trained = training.Training(-1, run.settings.ranking.loss)
        self.network: SegNet = load_segnet(training.network_path(run, trained))
        self.ranker = ranker.load_ranker(run)
        self.classifier = classifiers.read_classifier(run, -1)
        self.layers = classifiers.fully_connected(run.settings)
        self.proposer = proposals.load_proposer(run)

    def label(self, image: np.ndarray) -> np.ndarray:
        """Return the proposal that the ranker scores highest.

        image   | (H, W, 3) | uint8 | RGB
        returns | (H, W)    | uint8 | 0..K-1
        """
        settings, views = self.run.settings, coarse.views_of(self.network, image)
        found = coarse.coarse_of(self.network, image, views, settings)
        proposed = self.proposer(image, found)
        scores = classifiers.scores_of_image(self.classifier, views, self.layers)
        proposals = ImageProposals(
            image,
            found,
            np.stack([proposal.labels for proposal in proposed]),  # (M, H, W)
            classifier_scores=scores.scores,
            size_thresholds=scores.thresholds,
            scores=np.array([proposal.score for proposal in proposed]),
            segments=[proposal.segments for proposal in proposed],
            eps=settings.ranking.eps,
            class_names=settings.classes.names,
        )
        blocks = describe(proposals, self.ranker.blocks)
        best = int(np.argmax(self.ranker.scores(FeatureTable.of_image("photograph", blocks))))
        return np.asarray(proposals.labels[best])


class Labelled(NamedTuple):
    """The two files written for a photograph."""

    labels: Path
    overlay: Path


def label_photographs(
    paths: list[Path], run_path: Path, out: Path, *, progress: Progress, replace: bool = False
) -> list[Labelled]:
    """Write NAME.labels.png, a palette label map, and NAME.overlay.png for each photograph; return their paths.

    Args:
        paths: the photographs.
        run_path: a finished run.
        out: the output folder; made if missing.
        progress: where to report.
        replace: replace files that an earlier call wrote.

    Raises:
        DatasetError: a photograph is missing, too small or damaged.
        OutputError: a file cannot be written, already exists, or would replace a photograph or another output.
        CheckpointError: the run is not finished.

    All of these are raised before the first photograph is labelled, except for damaged pixels.
    """
    for path in paths:
        with opened(path) as image:  # its header: pixels are decoded once, below
            if min(image.size) < SMALLEST_SIDE:
                raise DatasetError(
                    f"{path}: a side is below {SMALLEST_SIDE} pixels, one for each cell of the coarse grid"
                )
    results = [Labelled(out / f"{path.stem}.labels.png", out / f"{path.stem}.overlay.png") for path in paths]
    check_results(
        [(path, file) for path, files in zip(paths, results, strict=True) for file in files],
        option="--out",
        replace=replace,
    )
    segmenter = Segmenter(run_path, progress=progress)
    classes = segmenter.run.settings.classes
    with progress.count("photographs", len(paths)) as advance:
        for path, files in zip(paths, results, strict=True):
            photograph = read_image(path, upright=True)
            labels = segmenter.label(photograph)
            write_labels(files.labels, labels, classes)
            with atomic_write(files.overlay) as stream:
                Image.fromarray(overlay(photograph, labels, classes=classes)).save(stream, "PNG")
            advance(1)
    return results
