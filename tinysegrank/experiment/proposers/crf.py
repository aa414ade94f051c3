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
from tinysegrank.experiment.settings import ProposalSettings, Settings
from tinysegrank.experiment.stages.superpixels import read_superpixels, superpixels_of
from tinysegrank.experiment.tasks import do_missing, map_tasks
from tinysegrank.files import atomic_write
from tinysegrank.proposals import (
    CrfEngine,
    Proposal,
    ProposalOptions,
    SuperpixelClassifier,
    divmbest,
    engine_under,
    label_fractions,
    superpixel_features,
)
from tinysegrank.superpixels import RegionGraph, region_graph
from tinysegrank.voc import CLASS_NAMES


class CrfProposer:
    """DivMBest over a Potts CRF with unary costs by superpixel classifiers."""

    name = "crf"
    reads_segments = False

    def check(self, settings: Settings) -> None:
        """See `Proposer.check`."""

    def fit(self, run: Run) -> None:
        """Fit a classifier on all training images and one without each fold; choose strength and lambda on fold 0."""
        paths = [model_path(run.folder(FOLDER) / self.name, fold) for fold in (-1, *range(run.settings.folds))]
        if not all(path.is_file() for path in paths):
            _fit_classifiers(run, paths)
        for path in paths:
            learnt = SuperpixelClassifier.load(path).classes_
            say_what_is_not_learnt(run, path, "examples", learnt, range(len(CLASS_NAMES)))
        if not is_chosen(run, self.name):
            _choose(run)

    def propose(self, image: ImageOfRun, model: Model) -> list[Proposal]:
        """See `Proposer.propose`."""
        return propose_under(image, model, (_chosen(model.folder),))[0]

    def load(self, run: Run) -> Callable[[np.ndarray], list[Proposal]]:
        """See `Proposer.load`."""
        folder = run.folder(FOLDER) / self.name
        classifier, options = SuperpixelClassifier.load(model_path(folder, -1)), _chosen(folder)

        def propose(image: np.ndarray) -> list[Proposal]:
            described = _describe(image, superpixels_of(image, run.settings))
            return divmbest(_engine(described, classifier, options), options.lam, options.count)

        return propose


class _Examples(NamedTuple):
    """The superpixels of all training images together; their features may be more than fits into memory."""

    features: Path  # file of (S, D) float32 and nothing else
    fractions: np.ndarray  # (S, K) float32
    weights: np.ndarray  # (S,) int64
    images: np.ndarray  # (S,) int64, number of each superpixel's image


class _Fit(NamedTuple):
    seed: int
    fold: int
    used: np.ndarray  # (images,) bool
    examples: _Examples
    path: Path


def _fit_classifiers(run: Run, paths: list[Path]) -> None:
    examples, fold_of = _gather_examples(run, paths[0].parent), folds(run)
    tasks = [
        _Fit(run.settings.seed, fold, fold_of != fold, examples, path) for fold, path in enumerate(paths, start=-1)
    ]
    do_missing(run, "superpixel classifiers", _fit, tasks, lambda task: [task.path], local=True)  # each on all threads
    examples.features.unlink()


def _gather_examples(run: Run, folder: Path) -> _Examples:
    images, path = images_of(run, "train"), folder / "examples.float32"
    truths: list[list[np.ndarray]] = []  # fractions and weights of each image
    with atomic_write(path) as stream:
        for features, *truth in map_tasks(run, "superpixel features", _example, images):
            stream.write(features.tobytes())
            truths.append(truth)
    fractions, weights = (np.concatenate(part) for part in zip(*truths, strict=True))
    of_image = np.repeat(np.arange(len(images)), [len(weights) for _, weights in truths])
    return _Examples(path, fractions, weights, of_image)


def _example(image: ImageOfRun) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    described = _describe(image.image(), read_superpixels(image))
    return described.features, *label_fractions(image.labels(), described.superpixels)


def _fit(task: _Fit) -> None:
    path, fractions, weights, images = task.examples
    features = np.memmap(path, np.float32, "r").reshape(len(weights), -1)
    rng = np.random.default_rng([task.seed, task.fold + 1, 4])
    rows = np.flatnonzero(task.used[images])
    SuperpixelClassifier().fit(features, fractions, weights, rng=rng, rows=rows).save(task.path)


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
    """An image with what is computed of it before any classifier."""

    superpixels: np.ndarray
    graph: RegionGraph
    features: np.ndarray


def _describe(image: np.ndarray, superpixels: np.ndarray) -> _Superpixels:
    from skimage.color import rgb2lab

    lab = rgb2lab(image.astype(np.float32) / 255)
    graph = region_graph(superpixels, image, lab=lab)
    return _Superpixels(superpixels, graph, superpixel_features(image, superpixels, graph, lab=lab))


def _engine(described: _Superpixels, classifier: SuperpixelClassifier, options: ProposalOptions) -> CrfEngine:
    log_probabilities = classifier.log_probabilities(described.features, balance=options.balance)
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
    described = _describe(image.image(), read_superpixels(image))
    classifier = load_once(SuperpixelClassifier.load, model.path)
    return [_engine(described, classifier, options) for options in grid]
