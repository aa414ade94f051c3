"""Label one photograph with a finished run; `tinysegrank.load` makes a `Segmenter`."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image

from tinysegrank.errors import DatasetError
from tinysegrank.experiment.photograph import Photograph
from tinysegrank.experiment.progress import Progress, Silent
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
from tinysegrank.ranking import FeatureTable, ImageProposals, describe, image_descriptors
from tinysegrank.segnet import SegNet, chunk_arrays, load_segnet
from tinysegrank.upsampling import enlarge
from tinysegrank.voc import BACKGROUND, Classes, overlay
from tinysegrank.voc.dataset import SMALLEST_SIDE
from tinysegrank.voc.images import photograph, reduced
from tinysegrank.voc.labels import draw_legend, label_counts

NEEDS = tuple(stage.STAGE for stage in (trunk, training, classifiers, segments, pooled, proposing, ranker))
"""The stages whose results label a photograph, if they are used."""
_ROWS = 256  # painted at a time, to need little memory for large photographs


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """A photograph's labels, and what they were chosen from.

    image   | (H, W, 3) | uint8   | the photograph, R, G, B
    labels  | (H, W)    | uint8   | class of each pixel in the proposal that the ranker scores highest
    coarse  | (h, w, K) | float32 | SegNet's class distribution in each cell
    ranked  | (M, a, b) | uint8   | the proposals, best first, at the size of the reduced photograph
    scores  | (M,)      | float64 | the ranker's scores, largest first; only their differences mean something

    Attributes:
        classes: names and colours of the K classes.
    """

    image: np.ndarray
    labels: np.ndarray
    coarse: np.ndarray
    ranked: np.ndarray
    scores: np.ndarray
    classes: Classes

    @property
    def shares(self) -> dict[str, float]:
        """Share of the pixels, 0..1, of each class that occurs, background included, by name; the largest first."""
        counts = label_counts(self.labels)
        order = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k]]
        return {self.classes.names[k]: float(counts[k] / self.labels.size) for k in order}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes that occur, background included; that with the most pixels first."""
        return tuple(self.shares)

    @property
    def proposals(self) -> np.ndarray:
        """All proposals at the photograph's size, (M, H, W) uint8, best first; the first is `labels`."""
        return np.stack([self.proposal(m) for m in range(len(self.ranked))])

    def proposal(self, number: int) -> np.ndarray:
        """Return one proposal at the photograph's size, (H, W) uint8; they are numbered from 0, the best."""
        return enlarge(self.ranked[number], self.labels.shape)

    def overlay(self, *, opacity: float = 0.6, legend: bool = True) -> Image.Image:
        """Return a PIL image: the classes' colours over the photograph, with this opacity, 0..1, and a legend below."""
        height, width = self.labels.shape
        seen = [k for k in map(self.classes.names.index, self.names) if k != BACKGROUND]
        below = draw_legend(width, [(self.classes.names[k], self.classes.colours[k]) for k in seen])
        page = Image.new("RGB", (width, height + below.height if legend else height))
        for top in range(0, height, _ROWS):
            rows = slice(top, top + _ROWS)
            page.paste(Image.fromarray(overlay(self.image[rows], self.labels[rows], opacity, self.classes)), (0, top))
        page.paste(below, (0, height))
        return page

    def __repr__(self) -> str:
        height, width = self.labels.shape
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.shares.items())
        return f"Segmentation({width} x {height}: {shares})"


class Segmenter:
    """Labels photographs with a finished run; call it with one photograph at a time.

    Args:
        run: the run folder.
        progress: where to report.

    Attributes:
        classes: names and colours of the classes that the run knows, background first.

    Raises:
        CheckpointError: the folder is not a finished run, or a file of it is damaged.
        ConfigError: the run's settings cannot be read.
        WeightsError: the run's weight file is missing or damaged.
        BackendError: the backend cannot be used.
    """

    def __init__(self, run: str | PathLike[str], *, progress: Progress | None = None) -> None:
        self.run = read_run(Path(run), jobs=1, progress=progress or Silent())
        settings = self.run.settings
        self.run.require([stage.name for stage in NEEDS if stage.used(settings)], "labelling a photograph")
        self.classes = settings.classes
        trained = training.Training(-1, settings.ranking.loss)
        self.network: SegNet = load_segnet(training.network_path(self.run, trained))
        self.ranker = ranker.load_ranker(self.run)
        self.classifier = classifiers.read_classifier(self.run, -1)
        self.layers = classifiers.fully_connected(settings)

    def __call__(self, image: str | PathLike[str] | Image.Image | np.ndarray) -> Segmentation:
        """Label one photograph: a file or a PIL image, rotated by its EXIF orientation, or an array.

        image | (H, W, 3) | uint8 | R, G, B, if it is an array

        A photograph with a side above the run's setting `photographs.longest_side` is reduced to that size, labelled,
        and its labels are enlarged.

        Raises:
            DatasetError: a file is missing, damaged or no photograph, or a side is below 13 pixels.
            ShapeError: an array has another shape or dtype, or `image` is none of these.
            ConfigError: the run's proposals were made elsewhere.
        """
        pixels = photograph(Path(image) if isinstance(image, PathLike) else image)
        if min(pixels.shape[:2]) < SMALLEST_SIDE:
            raise DatasetError(f"image: {pixels.shape[1]} x {pixels.shape[0]}, a side is below {SMALLEST_SIDE} pixels")
        settings = self.run.settings
        longest = settings.photographs.longest_side or max(pixels.shape)
        small = reduced(pixels, longest=longest, shortest=SMALLEST_SIDE)
        views = chunk_arrays(self.network, [small], None, mirrors=True)["features"]  # (2, C, 13, 13)
        found = coarse.coarse_of(self.network, views, settings)
        source = Photograph(self.run, small)
        proposed = proposals.propose(source)
        described = ImageProposals(
            small,
            found,
            np.stack([proposal.labels for proposal in proposed]),  # (M, a, b)
            classifier_scores=self.classifier.scores(image_descriptors(views[:1], self.layers))[0],
            size_thresholds=self.classifier.thresholds,
            scores=np.array([proposal.score for proposal in proposed]),
            segments=[proposal.segments for proposal in proposed],
            eps=settings.ranking.eps,
            class_names=self.classes.names,
            lab=source.lab,
        )
        blocks = describe(described, self.ranker.blocks)
        scores = self.ranker.scores(FeatureTable.of_image("photograph", blocks))
        order = np.argsort(-scores, kind="stable")
        ranked = described.labels[order]
        labels = enlarge(ranked[0], pixels.shape[:2])
        return Segmentation(pixels, labels, found, ranked, scores[order], self.classes)

    def __repr__(self) -> str:
        return f"Segmenter({str(self.run.path)!r}, {len(self.classes)} classes)"
