"""Proposals of the CRF on superpixels: classifiers fitted on the run's training images, constants chosen on fold 0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.config import from_dict, to_dict
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import ImageOfRun, folds, images_of, model_path
from tinysegrank.experiment.proposers.protocol import (
    FOLDER,
    Model,
    choose_on_held_out,
    is_chosen,
    read_chosen,
    say_what_is_not_learnt,
    write_chosen,
)
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import CrfSettings, ProposalSettings, Settings
from tinysegrank.experiment.stages import maps
from tinysegrank.experiment.stages.superpixels import read_superpixels, superpixels_of
from tinysegrank.experiment.tasks import do_missing, map_tasks
from tinysegrank.files import atomic_write, read_arrays, write_arrays
from tinysegrank.proposals import (
    CrfEngine,
    Inputs,
    InputTable,
    MapFeatures,
    Proposal,
    ProposalOptions,
    SuperpixelClassifier,
    classifier_inputs,
    divmbest,
    engine_under,
    label_fractions,
    map_features,
)
from tinysegrank.superpixels import RegionGraph, as_lab, region_graph


class CrfProposer:
    """DivMBest over a Potts CRF with unary costs by superpixel classifiers."""

    name = "crf"
    reads_segments = False

    def map_views(self, settings: Settings) -> tuple[bool, ...]:
        """See `Proposer.map_views`."""
        asked = settings.proposals.crf
        return () if asked.features == "hand" else _views(asked)

    def check(self, settings: Settings) -> None:
        """See `Proposer.check`."""
        maps.check(settings)

    def fit(self, run: Run) -> None:
        """Fit a classifier on all training images and one without each fold; choose strength and lambda on fold 0."""
        paths = [model_path(run.folder(FOLDER) / self.name, fold) for fold in (-1, *range(run.settings.folds))]
        if not all(path.is_file() for path in paths):
            _fit_classifiers(run, paths)
        for path in paths:
            learnt = SuperpixelClassifier.load(path).classes_
            say_what_is_not_learnt(run, path, "examples", learnt, range(len(run.settings.classes)))
        if not is_chosen(run, self.name):
            _choose(run)

    def propose(self, image: ImageOfRun, model: Model) -> list[Proposal]:
        """See `Proposer.propose`."""
        return propose_under(image, model, (_chosen(model.folder),))[0]

    def load(self, run: Run) -> Callable[[np.ndarray], list[Proposal]]:
        """See `Proposer.load`."""
        folder = run.folder(FOLDER) / self.name
        classifier, options = SuperpixelClassifier.load(model_path(folder, -1)), _chosen(folder)
        make_maps = maps.load_maps(run) if self.map_views(run.settings) else None

        def propose(image: np.ndarray) -> list[Proposal]:
            superpixels = superpixels_of(image, run.settings)
            of_maps = None if make_maps is None else map_features(make_maps(image), superpixels)
            described = _describe(image, superpixels, run.settings, of_maps)
            return divmbest(_engine(described, classifier, options), options.lam, options.count)

        return propose


class _Fit(NamedTuple):
    settings: Settings
    fold: int
    used: np.ndarray  # (images,) bool
    folder: Path  # of the examples
    path: Path


def _fit_classifiers(run: Run, paths: list[Path]) -> None:
    folder, fold_of = paths[0].parent, folds(run)
    _gather_examples(run, folder)
    tasks = [_Fit(run.settings, fold, fold_of != fold, folder, path) for fold, path in enumerate(paths, start=-1)]
    do_missing(run, "superpixel classifiers", _fit, tasks, lambda task: [task.path])
    for file in _example_files(folder):
        file.unlink()


def _example_files(folder: Path) -> tuple[Path, Path]:
    """Return the two files of training examples: the superpixels' own columns as raw float16, and everything else.

    The first may not fit into memory.
    """
    return folder / "examples.float16", folder / "examples.safetensors"


def _gather_examples(run: Run, folder: Path) -> None:
    (path, rest), views = _example_files(folder), _views(run.settings.proposals.crf)
    tasks = [_View(image, mirrored) for image in images_of(run, "train") for mirrored in views]
    parts: list[list[np.ndarray]] = []
    with atomic_write(path) as stream:
        for own, *rest_of_view in map_tasks(run, "superpixel features", _example, tasks):
            stream.write(own.tobytes())
            parts.append(rest_of_view)
    shared, fractions, weights = zip(*parts, strict=True)
    of_view = np.repeat(np.arange(len(tasks)), list(map(len, weights)))
    arrays = {"fractions": np.concatenate(fractions), "weights": np.concatenate(weights)}
    write_arrays(rest, {**arrays, "shared": np.stack(shared), "views": of_view, "images": of_view // len(views)})


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
    path, rest = _example_files(task.folder)
    arrays = read_arrays(rest)
    own = np.memmap(path, np.float16, "r").reshape(len(arrays["views"]), -1)
    table = InputTable(own, arrays["shared"], arrays["views"])
    rng = np.random.default_rng([task.settings.seed, task.fold + 1, 4])
    rows = np.flatnonzero(task.used[arrays["images"]])
    classifier = SuperpixelClassifier(epochs=task.settings.proposals.crf.epochs)
    classifier.fit(table, arrays["fractions"], arrays["weights"], rng=rng, rows=rows).save(task.path)


def grid_of(asked: ProposalSettings) -> list[ProposalOptions]:
    """Return the constants to choose from."""
    return [
        ProposalOptions(strength=strength, lam=lam, count=asked.count, balance=asked.crf.balance)
        for strength in asked.crf.strengths
        for lam in asked.crf.lambdas
    ]


def _choose(run: Run) -> None:
    asked = run.settings.proposals
    grid = grid_of(asked)
    choice = choose_on_held_out(run, CrfProposer.name, grid, propose_under, images=asked.crf.choice_images)
    run.progress.say(
        f"strength {choice.best.strength:g}, lambda {choice.best.lam:g}: oracle {choice.oracle.max():.1%}, 1-best "
        f"{choice.one_best[choice.oracle.argmax()]:.1%} mean {asked.choice_by} IoU on held-out training images"
    )
    tried = [
        {"strength": options.strength, "lam": options.lam, "oracle": float(oracle), "one_best": float(one_best)}
        for options, oracle, one_best in zip(grid, choice.oracle, choice.one_best, strict=True)
    ]
    write_chosen(run, CrfProposer.name, to_dict(choice.best), tried)


def _chosen(folder: Path) -> ProposalOptions:
    return from_dict(ProposalOptions, read_chosen(folder))


class _Superpixels(NamedTuple):
    """What is computed of an image before any classifier is used."""

    superpixels: np.ndarray
    graph: RegionGraph
    inputs: Inputs


def _describe(
    image: np.ndarray, superpixels: np.ndarray, settings: Settings, of_maps: MapFeatures | None
) -> _Superpixels:
    lab = as_lab(image)
    graph, features = region_graph(superpixels, image, lab=lab), settings.proposals.crf.features
    inputs = classifier_inputs(image, superpixels, graph, features=features, maps=of_maps, lab=lab)
    return _Superpixels(superpixels, graph, inputs)


def _described(image: ImageOfRun, *, mirrored: bool = False) -> _Superpixels:
    settings, photograph, superpixels = image.run.settings, image.image(), read_superpixels(image)
    of_maps = maps.read_maps(image, mirrored=mirrored) if settings.proposals.crf.features != "hand" else None
    if mirrored:
        photograph, superpixels = photograph[:, ::-1], superpixels[:, ::-1]
    return _describe(photograph, superpixels, settings, of_maps)


def _engine(described: _Superpixels, classifier: SuperpixelClassifier, options: ProposalOptions) -> CrfEngine:
    log_probabilities = classifier.log_probabilities(described.inputs.columns, balance=options.balance)
    return engine_under(log_probabilities, described.superpixels, described.graph, options)


def engine_of(image: ImageOfRun, model: Model) -> tuple[CrfEngine, ProposalOptions]:
    """Return the CRF of an image of the run, and the constants that were chosen."""
    options = _chosen(model.folder)
    return _engines(image, model, (options,))[0], options


def propose_under(image: ImageOfRun, model: Model, grid: tuple[ProposalOptions, ...]) -> list[list[Proposal]]:
    """Propose for an image of the run under each setting."""
    engines = zip(_engines(image, model, grid), grid, strict=True)
    return [divmbest(engine, options.lam, options.count) for engine, options in engines]


def _engines(image: ImageOfRun, model: Model, grid: tuple[ProposalOptions, ...]) -> list[CrfEngine]:
    described = _described(image)
    classifier = load_once(SuperpixelClassifier.load, model.path)
    return [_engine(described, classifier, options) for options in grid]
