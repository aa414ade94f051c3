"""Proposals of the CRF on superpixels: classifiers fitted on the run's training images, constants chosen on fold 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment.images import ImageOfRun, folds, images_of
from tinysegrank.experiment.proposal_settings import CrfSettings, ProposalSettings
from tinysegrank.experiment.proposers.divmbest import DivMBestProposer
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps
from tinysegrank.experiment.stages.superpixels import read_superpixels
from tinysegrank.experiment.tasks import do_missing, map_tasks
from tinysegrank.files import atomic_write, read_arrays, write_arrays
from tinysegrank.proposals import (
    CrfEngine,
    Inputs,
    InputTable,
    MapFeatures,
    SuperpixelClassifier,
    classifier_inputs,
    label_fractions,
    potts_weights,
)
from tinysegrank.stored_rows import RowFile
from tinysegrank.superpixels import RegionGraph, as_lab, region_graph

_HELD = 800_000_000  # bytes of examples that one fit holds at a time, about


@dataclass(frozen=True)
class Labelling:
    """The constants chosen on training images.

    strength: weight of the Potts terms, see `potts_weights`.
    lam: weight of diversity, nats per pixel.
    count: M.
    balance: power of the class priors that probabilities are divided by, see `SuperpixelClassifier`.
    """

    strength: float
    lam: float
    count: int
    balance: float


class CrfProposer(DivMBestProposer):
    """DivMBest over a Potts CRF with unary costs by superpixel classifiers."""

    name = "crf"
    reads_segments = False
    kind, constants, examples, first = SuperpixelClassifier, Labelling, "examples", 0

    def map_views(self, settings: Settings) -> tuple[bool, ...]:
        """See `Proposer.map_views`."""
        asked = settings.proposals.crf
        return () if asked.features == "hand" else _views(asked)

    def fit_models(self, run: Run, paths: Sequence[Path]) -> None:
        """Fit the classifiers that don't exist, on examples that are gathered first."""
        if all(path.is_file() for path in paths):
            return
        folder, fold_of = paths[0].parent, folds(run)
        _gather_examples(run, folder)
        tasks = [_Fit(run.settings, fold, fold_of != fold, folder, path) for fold, path in enumerate(paths, start=-1)]
        size = 5 * _example_files(folder)[-1].stat().st_size + _HELD
        do_missing(run, "superpixel classifiers", _fit, tasks, lambda task: [task.path], size=size)
        for file in _example_files(folder):
            file.unlink()

    def choose(self, run: Run) -> None:
        """Choose strength and lambda."""
        grid = grid_of(run.settings.proposals)
        choice = self.try_out(run, grid, images=run.settings.proposals.crf.choice_images)
        tried = [
            {"strength": options.strength, "lam": options.lam, "oracle": float(oracle), "one_best": float(one_best)}
            for options, oracle, one_best in zip(grid, choice.oracle, choice.one_best, strict=True)
        ]
        self.keep(run, choice, f"strength {choice.best.strength:g}", tried)

    def engines(self, image: ImageOfRun, model: SuperpixelClassifier, grid: Sequence[Labelling]) -> Iterable[CrfEngine]:
        """See `DivMBestProposer.engines`."""
        described = _described(image)
        return [_engine(described, model, options) for options in grid]

    def load_engine(self, run: Run, model: SuperpixelClassifier) -> Callable[[maps.Photograph, Labelling], CrfEngine]:
        """See `DivMBestProposer.load_engine`."""
        reads_maps = bool(self.map_views(run.settings))

        def engine(photograph: maps.Photograph, options: Labelling) -> CrfEngine:
            of_maps = photograph.of_maps if reads_maps else None
            described = _describe(photograph.image, photograph.superpixels, photograph.lab, run.settings, of_maps)
            return _engine(described, model, options)

        return engine


class _Fit(NamedTuple):
    settings: Settings
    fold: int
    used: np.ndarray  # (images,) bool
    folder: Path  # of the examples
    path: Path


def _example_files(folder: Path) -> tuple[Path, Path, Path]:
    """Return the files of training examples: a row of float16 features and of float32 fractions each, and the rest.

    The first two may not fit into memory.
    """
    return folder / "examples.float16", folder / "examples.float32", folder / "examples.safetensors"


def _gather_examples(run: Run, folder: Path) -> None:
    (path, beside, rest), views = _example_files(folder), _views(run.settings.proposals.crf)
    tasks = [_View(image, mirrored) for image in images_of(run, "train") for mirrored in views]
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


def _views(asked: CrfSettings) -> tuple[bool, ...]:
    """Return whether each view of a training image that is learnt from is mirrored."""
    return (False, True) if asked.mirrored else (False,)


class _View(NamedTuple):
    image: ImageOfRun
    mirrored: bool


def _example(view: _View) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the inputs of an image's superpixels, their own columns as float16, and the true fractions and weights."""
    described = _described(view.image, mirrored=view.mirrored)
    own, shared = described.inputs
    labels, num_classes = view.image.labels(), len(view.image.run.settings.classes)
    labels = labels[:, ::-1] if view.mirrored else labels
    truth = label_fractions(labels, described.superpixels, num_classes=num_classes)
    return own.astype(np.float16), shared, *truth


def _fit(task: _Fit) -> None:
    path, beside, rest = _example_files(task.folder)
    arrays = read_arrays(rest)
    count = len(arrays["views"])
    table = InputTable(RowFile(path, count, np.float16), arrays["shared"], arrays["views"])
    rng = np.random.default_rng([task.settings.seed, task.fold + 1, 4])
    rows = np.flatnonzero(task.used[arrays["images"]])
    classifier = SuperpixelClassifier(epochs=task.settings.proposals.crf.epochs)
    classifier.fit(table, RowFile(beside, count, np.float32), arrays["weights"], rng=rng, rows=rows).save(task.path)


def grid_of(asked: ProposalSettings) -> list[Labelling]:
    """Return the constants to choose from."""
    return [
        Labelling(strength=strength, lam=lam, count=asked.count, balance=asked.crf.balance)
        for strength in asked.crf.strengths
        for lam in asked.crf.lambdas
    ]


class _Superpixels(NamedTuple):
    """Everything that is computed of an image before a classifier is used."""

    superpixels: np.ndarray
    graph: RegionGraph
    inputs: Inputs


def _describe(
    image: np.ndarray, superpixels: np.ndarray, lab: np.ndarray, settings: Settings, of_maps: MapFeatures | None
) -> _Superpixels:
    graph, features = region_graph(superpixels, image, lab=lab), settings.proposals.crf.features
    inputs = classifier_inputs(image, superpixels, graph, features=features, maps=of_maps, lab=lab)
    return _Superpixels(superpixels, graph, inputs)


def _described(image: ImageOfRun, *, mirrored: bool = False) -> _Superpixels:
    settings, photograph, superpixels = image.run.settings, image.image(), read_superpixels(image)
    of_maps = maps.read_maps(image, mirrored=mirrored) if settings.proposals.crf.features != "hand" else None
    if mirrored:
        photograph, superpixels = photograph[:, ::-1], superpixels[:, ::-1]
    return _describe(photograph, superpixels, as_lab(photograph), settings, of_maps)


def _engine(described: _Superpixels, classifier: SuperpixelClassifier, options: Labelling) -> CrfEngine:
    log_probabilities = classifier.log_probabilities(described.inputs.columns, balance=options.balance)
    weights = potts_weights(described.graph, strength=options.strength)
    return CrfEngine(-log_probabilities, described.graph.edges, weights, described.superpixels)
