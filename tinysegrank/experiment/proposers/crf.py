"""Proposals of the CRF on superpixels: classifiers fitted on the run's training images, constants chosen on fold 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank import superpixels
from tinysegrank.config import from_dict, to_dict
from tinysegrank.experiment import data
from tinysegrank.experiment.proposers.protocol import CHOSEN, FOLDER, Model, choose_on_held_out, model_of
from tinysegrank.experiment.regions import ImageTask, image_tasks, read_superpixels
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import ProposalSettings, Settings
from tinysegrank.files import atomic_write, read_json, write_json
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import (
    CrfEngine,
    Proposal,
    ProposalOptions,
    SuperpixelClassifier,
    divmbest,
    engine_under,
    label_fractions,
    propose_image,
    superpixel_features,
)
from tinysegrank.voc import CLASS_NAMES


class CrfProposer:
    """DivMBest over a Potts CRF with unary costs by superpixel classifiers."""

    name = "crf"

    def check(self, settings: Settings) -> None:
        """See `Proposer.check`."""

    def fit(self, run: Run) -> None:
        """Fit a classifier on all training images and one without each fold; choose strength and lambda on fold 0."""
        folds = [-1, *range(run.settings.folds)]
        _fit_classifiers(run, folds)
        for fold in folds:
            _say_what_is_not_learnt(run, fold)
        if not (run.folder(FOLDER) / self.name / CHOSEN).is_file():
            _choose(run)

    def propose(self, task: ImageTask, model: Model) -> list[Proposal]:
        """See `Proposer.propose`."""
        return propose_under(task, model, (_chosen(model.folder),))[0]

    def load(self, run: Run) -> Callable[[np.ndarray], list[Proposal]]:
        """See `Proposer.load`."""
        folder = run.folder(FOLDER) / self.name
        return partial(
            propose_image,
            classifier=SuperpixelClassifier.load(data.model_path(folder, -1)),
            options=_chosen(folder),
            **asdict(run.settings.superpixels),
        )


def _chosen(folder: Path) -> ProposalOptions:
    return from_dict(ProposalOptions, read_json(folder / CHOSEN)["options"])


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


def _fit_classifiers(run: Run, folds: list[int]) -> None:
    folder, fold_of = run.folder(FOLDER) / CrfProposer.name, data.folds(run)
    if all(data.model_path(folder, fold).is_file() for fold in folds):
        return
    examples = _gather_examples(run, folder)
    tasks = [_Fit(run.settings.seed, fold, fold_of != fold, examples, data.model_path(folder, fold)) for fold in folds]
    with run.progress.count("superpixel classifiers", len(tasks)) as advance:
        for _ in parallel_map(_fit, tasks, jobs=1, on_cluster=False):  # each on all threads: one at a time
            advance(1)
    examples.features.unlink()


def _gather_examples(run: Run, folder: Path) -> _Examples:
    count = len(data.names(run, "train"))
    truths: list[list[np.ndarray]] = []  # fractions and weights of each image
    path = folder / "examples.float32"
    with run.progress.count("superpixel features", count) as advance, atomic_write(path) as stream:
        for features, *truth in parallel_map(_example, image_tasks(run, "train", list(range(count))), jobs=run.jobs):
            stream.write(features.tobytes())
            truths.append(truth)
            advance(1)
    fractions, weights = (np.concatenate(part) for part in zip(*truths, strict=True))
    images = np.repeat(np.arange(count), [len(of_image) for _, of_image in truths])
    return _Examples(path, fractions, weights, images)


def _example(task: ImageTask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    described = _describe(task)
    labels = data.split_in_worker(task.settings, task.which)[task.number].labels
    return described.features, *label_fractions(labels, described.superpixels)


def _fit(task: _Fit) -> None:
    path, fractions, weights, images = task.examples
    features = np.memmap(path, np.float32, "r").reshape(len(weights), -1)
    rng = np.random.default_rng([task.seed, task.fold + 1, 4])
    rows = np.flatnonzero(task.used[images])
    SuperpixelClassifier().fit(features, fractions, weights, rng=rng, rows=rows).save(task.path)


def _say_what_is_not_learnt(run: Run, fold: int) -> None:
    path = data.model_path(run.folder(FOLDER) / CrfProposer.name, fold)
    learnt = SuperpixelClassifier.load(path).classes_
    if few := [name for index, name in enumerate(CLASS_NAMES) if index not in learnt]:
        run.progress.say(f"{path.stem}: too few examples of {', '.join(few)}; they get a constant score")


def grid_of(asked: ProposalSettings) -> list[ProposalOptions]:
    """The constants to choose from."""
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
    folder = model_of(run, CrfProposer.name, -1).folder
    write_json(folder / CHOSEN, {"options": to_dict(choice.best), "tried": tried})


class _Described(NamedTuple):
    """An image with what is computed of it before any classifier."""

    superpixels: np.ndarray
    graph: superpixels.RegionGraph
    features: np.ndarray


def _describe(task: ImageTask) -> _Described:
    sample = data.split_in_worker(task.settings, task.which)[task.number]
    regions = read_superpixels(task.regions, sample.name)
    graph = superpixels.region_graph(regions, sample.image)
    return _Described(regions, graph, superpixel_features(sample.image, regions, graph))


def engine_of(task: ImageTask, model: Model) -> tuple[CrfEngine, ProposalOptions]:
    """The CRF of an image of the run, and the constants that were chosen."""
    options = _chosen(model.folder)
    return _engines(task, model, (options,))[0], options


def propose_under(task: ImageTask, model: Model, grid: tuple[ProposalOptions, ...]) -> list[list[Proposal]]:
    """The proposals for an image of the run under each setting."""
    engines = zip(_engines(task, model, grid), grid, strict=True)
    return [divmbest(engine, options.lam, options.count) for engine, options in engines]


def _engines(task: ImageTask, model: Model, grid: tuple[ProposalOptions, ...]) -> list[CrfEngine]:
    described, classifier = _describe(task), _classifier_in_worker(model.path, model.key)
    return [
        engine_under(
            classifier.log_probabilities(described.features, balance=options.balance),
            described.superpixels,
            described.graph,
            options,
        )
        for options in grid
    ]


@lru_cache(maxsize=4)
def _classifier_in_worker(path: Path, key: str) -> SuperpixelClassifier:  # noqa: ARG001  # tells files of one name apart
    return SuperpixelClassifier.load(path)
