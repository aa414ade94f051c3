"""Proposals of a CRF on superpixels: classifiers fitted on the run's training images, constants chosen on fold 0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinysegrank.experiment.images import ImageOfRun, images_of
from tinysegrank.experiment.photograph import Photograph, PhotographOfRun
from tinysegrank.experiment.proposal_settings import CrfSettings
from tinysegrank.experiment.proposers.divmbest import DivMBestProposer
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.tasks import map_tasks
from tinysegrank.files import atomic_write, read_arrays, write_arrays
from tinysegrank.proposals import (
    CrfEngine,
    Inputs,
    InputTable,
    SuperpixelClassifier,
    classifier_inputs,
    label_fractions,
    potts_weights,
)
from tinysegrank.stored_rows import RowFile
from tinysegrank.superpixels import RegionGraph, region_graph

_HELD = 800_000_000  # bytes of examples that one fit holds at a time, about


@dataclass(frozen=True)
class Labelling:
    """The constants of the CRF.

    strength: weight of the Potts terms, see `potts_weights`.
    lam: weight of diversity, nats per pixel.
    count: number of proposals M.
    balance: power of the class priors that the classifier's probabilities are divided by.
    """

    strength: float
    lam: float
    count: int
    balance: float


class CrfProposer(DivMBestProposer):
    """DivMBest over a Potts CRF whose unary costs come from superpixel classifiers."""

    name = "crf"
    reads_segments = False
    kind, models, constants = SuperpixelClassifier, "superpixel classifiers", Labelling
    examples, first = "examples", 0
    # a row of features and one of fractions each, neither of which may fit into memory, and the rest
    files = ("examples.float16", "examples.float32", "examples.safetensors")

    def map_views(self, settings: Settings) -> tuple[bool, ...]:
        """Return the views whose trunk maps the classifier reads: False for an image, True for its mirror image."""
        asked = settings.proposals.crf
        return () if asked.features == "hand" else _views(asked)

    def gather(self, run: Run, files: Sequence[Path]) -> int:
        """Write the inputs and true classes of all training superpixels; return about how many bytes one fit holds."""
        (path, beside, rest), views = files, _views(run.settings.proposals.crf)
        tasks = [(image, mirrored) for image in images_of(run, "train") for mirrored in views]
        parts = []
        with atomic_write(path) as stream, atomic_write(beside) as other:
            for own, shared, fractions, weights in map_tasks(run, "superpixel features", _example, tasks):
                stream.write(own.tobytes())
                other.write(fractions.tobytes())
                parts.append((shared, weights))
        of_images, of_superpixels = zip(*parts, strict=True)
        of_view = np.repeat(np.arange(len(tasks)), list(map(len, of_superpixels)))
        arrays = {"shared": np.stack(of_images), "weights": np.concatenate(of_superpixels)}
        write_arrays(rest, {**arrays, "views": of_view, "images": of_view // len(views)})
        return 5 * rest.stat().st_size + _HELD

    def fit_model(self, settings: Settings, fold: int, used: np.ndarray, files: Sequence[Path]) -> SuperpixelClassifier:
        """Fit a superpixel classifier to the examples of the training images for which `used` (images,) is True."""
        path, beside, rest = files
        arrays = read_arrays(rest)
        count = len(arrays["views"])
        table = InputTable(RowFile(path, count, np.float16), arrays["shared"], arrays["views"])
        rng, rows = np.random.default_rng([settings.seed, fold + 1, 4]), np.flatnonzero(used[arrays["images"]])
        classifier = SuperpixelClassifier(epochs=settings.proposals.crf.epochs)
        return classifier.fit(table, RowFile(beside, count, np.float32), arrays["weights"], rng=rng, rows=rows)

    def choose(self, run: Run) -> None:
        """Choose the strength and lambda with the best oracle, and write them."""
        asked = run.settings.proposals
        grid = [
            Labelling(strength=strength, lam=lam, count=asked.count, balance=asked.crf.balance)
            for strength in asked.crf.strengths
            for lam in asked.crf.lambdas
        ]
        choice = self.try_out(run, grid, images=asked.crf.choice_images)
        tried = [
            {"strength": options.strength, "lam": options.lam, "oracle": float(oracle), "one_best": float(one_best)}
            for options, oracle, one_best in zip(grid, choice.oracle, choice.one_best, strict=True)
        ]
        self.keep(run, choice, f"strength {choice.best.strength:g}", tried)

    def engines(
        self, photograph: Photograph, model: SuperpixelClassifier, grid: Sequence[Labelling]
    ) -> Iterable[CrfEngine]:
        """Yield the CRF of a photograph under each entry of a grid of constants."""
        graph, inputs = _describe(photograph)
        for options in grid:
            log_probabilities = model.log_probabilities(inputs.columns, balance=options.balance)
            weights = potts_weights(graph, strength=options.strength)
            yield CrfEngine(-log_probabilities, graph.edges, weights, photograph.superpixels)


def _views(asked: CrfSettings) -> tuple[bool, ...]:
    """Return the views that the classifier learns from: False for a training image, True for its mirror image."""
    return (False, True) if asked.mirrored else (False,)


def _example(view: tuple[ImageOfRun, bool]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the examples of one view, an image and whether to mirror it: one example per superpixel.

    own       | (S, D) | float16 | inputs of each superpixel
    shared    | (E,)   | float32 | inputs that all superpixels share
    fractions | (S, K) | float32 | distribution of the true classes in each superpixel
    weights   | (S,)   | int64   | pixels that are not void
    """
    image, mirrored = view
    photograph = PhotographOfRun(image, mirrored=mirrored)
    own, shared = _describe(photograph)[1]
    labels, num_classes = image.labels(), len(image.run.settings.classes)
    labels = labels[:, ::-1] if mirrored else labels
    truth = label_fractions(labels, photograph.superpixels, num_classes=num_classes)
    return own.astype(np.float16), shared, *truth


def _describe(photograph: Photograph) -> tuple[RegionGraph, Inputs]:
    """Return the graph of a photograph's superpixels, and the classifier's inputs for them."""
    image, superpixels, lab = photograph.image, photograph.superpixels, photograph.lab
    graph, features = region_graph(superpixels, image, lab=lab), photograph.run.settings.proposals.crf.features
    of_maps = photograph.of_maps if features != "hand" else None
    return graph, classifier_inputs(image, superpixels, graph, features=features, maps=of_maps, lab=lab)
