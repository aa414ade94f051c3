"""A finished run applied to one's own photographs: propose, rank, and write the chosen labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tinysegrank.backend import to_numpy
from tinysegrank.config import from_dict, read_toml
from tinysegrank.errors import CheckpointError, DatasetError
from tinysegrank.experiment import candidates, classified, networks, ranked
from tinysegrank.experiment.features import NETWORK
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.runner import SETTINGS_FILE, Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import atomic_write
from tinysegrank.outputs import check_results
from tinysegrank.ranking import FeatureTable, ImageProposals, Ranker, describe, image_descriptors
from tinysegrank.segnet import (
    CORNERS,
    SegNet,
    crop_arrays,
    load_segnet,
    mean_of_views,
    mean_with_crops,
    predict_features,
)
from tinysegrank.voc import overlay, read_image, write_labels
from tinysegrank.voc.dataset import SMALLEST_SIDE


class Segmenter:
    """Everything of a finished run that labels a new image.

    Args:
        run_path: the run folder.

    Raises:
        CheckpointError: the folder is no finished run.
    """

    def __init__(self, run_path: Path, *, progress: Progress) -> None:
        if not (run_path / SETTINGS_FILE).is_file():
            raise CheckpointError(
                f"{run_path}: is no run folder; make one with `tinysegrank demo` or `tinysegrank run`"
            )
        self.run = Run(run_path, from_dict(Settings, read_toml(run_path / SETTINGS_FILE)), 1, progress)
        for stage in ("training", classified.FOLDER, "proposing", "ranker"):
            if not self.run.stamp(stage).get("complete"):
                raise CheckpointError(
                    f"{run_path}: the stage {stage} is not finished; run the same command again first"
                )
        training = networks.Training(-1, self.run.settings.ranking.loss)
        self.network: SegNet = load_segnet(self.run.folder("training") / training.name / NETWORK)
        self.ranker = Ranker.load(self.run.folder("ranker") / ranked.RANKER)
        self.classifier = classified.read_classifier(self.run.folder(classified.FOLDER), -1)
        self.layers = classified.fully_connected(self.run.settings)
        self.proposer = candidates.load_proposer(self.run)

    def label(self, image: np.ndarray) -> np.ndarray:
        """Choose the proposal that the ranking SVM likes best.

        image   | (H, W, 3) | uint8 | RGB
        returns | (H, W)    | uint8 | 0..20
        """
        x = self.network.preset.preprocessing.apply(image)
        views = self.network.backend.asarray(np.stack([x, x[:, :, ::-1]]))
        features = to_numpy(self.network.features(views)).astype(np.float16)  # as stored
        coarse = self.coarse(image, features)
        found = self.proposer(image, coarse)
        labels = np.stack([proposal.labels for proposal in found])  # (M, H, W)
        proposals = ImageProposals(
            image,
            coarse,
            labels,
            classifier_scores=self.classifier.scores(image_descriptors(features[:1], self.layers))[0],
            size_thresholds=self.classifier.thresholds_,
            scores=np.array([proposal.score for proposal in found]),
            segments=[proposal.segments for proposal in found],
            eps=self.run.settings.ranking.eps,
        )
        blocks = describe(proposals, self.ranker.blocks)
        scores = self.ranker.scores(FeatureTable.of_image("photograph", blocks))
        return np.asarray(labels[int(np.argmax(scores))])

    def coarse(self, image: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Predict the coarse map, as those of the run were.

        image    | (H, W, 3)      | uint8    | RGB
        features | (2, C, 13, 13) | floating | of the image and its mirror image
        returns  | (13, 13, K)    | float32  | class distributions
        """
        options = self.run.settings.coarse

        def mean(maps: np.ndarray) -> np.ndarray:  # of the mirror image too, where it counts: (1, 13, 13, K)
            return mean_of_views(maps[:1], maps[1:]) if options.mirrored else maps[:1]

        coarse = mean(predict_features(self.network, features))
        if options.crops:
            crops = crop_arrays(self.network, [image], options.crops, mirrors=options.mirrored)["features"]
            corners = np.split(predict_features(self.network, crops), CORNERS)  # four (1 or 2, 13, 13, K)
            coarse = mean_with_crops(coarse, np.stack([mean(maps) for maps in corners]), options.crops)
        return np.asarray(coarse[0])


class Labelled(NamedTuple):
    """The two files that are made of a photograph."""

    labels: Path
    overlay: Path

    @classmethod
    def of(cls, photograph: Path, folder: Path) -> Labelled:
        """Where they are put."""
        return cls(folder / f"{photograph.stem}.labels.png", folder / f"{photograph.stem}.overlay.png")


def label_photographs(
    paths: list[Path], run_path: Path, out: Path, *, progress: Progress, replace: bool = False
) -> list[Labelled]:
    """Write NAME.labels.png, a palette label map, and NAME.overlay.png for each photograph; return their paths.

    Args:
        paths: the photographs.
        run_path: a finished run.
        out: the folder for what is written; made if missing.
        progress: where to report.
        replace: replace what an earlier call wrote.

    Raises:
        DatasetError: a photograph is missing, unreadable or too small.
        OutputError: a file cannot be written, is there already, or would take the place of a photograph or of another
            one's.
        CheckpointError: the run is not finished. All of these are raised before the first photograph is labelled.
    """
    for path in paths:
        if min(read_image(path).shape[:2]) < SMALLEST_SIDE:
            raise DatasetError(f"{path}: a side is below {SMALLEST_SIDE} pixels, one for each cell of the coarse grid")
    results = [Labelled.of(path, out) for path in paths]
    check_results(
        [(path, file) for path, files in zip(paths, results, strict=True) for file in files],
        option="--out",
        replace=replace,
    )
    segmenter = Segmenter(run_path, progress=progress)
    with progress.count("photographs", len(paths)) as advance:
        for path, files in zip(paths, results, strict=True):
            image = read_image(path, upright=True)
            labels = segmenter.label(image)
            write_labels(files.labels, labels)
            with atomic_write(files.overlay) as stream:
                Image.fromarray(overlay(image, labels)).save(stream, "PNG")
            advance(1)
    return results
