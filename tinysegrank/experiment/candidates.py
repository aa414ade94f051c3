"""Module 1 of the run: the superpixel classifiers, the constants of the CRF, and the proposals of every image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank import superpixels
from tinysegrank.config import from_dict, to_dict
from tinysegrank.experiment import data
from tinysegrank.experiment.regions import ImageTask, image_tasks, read_superpixels
from tinysegrank.experiment.runner import Run
from tinysegrank.files import atomic_write, read_json, write_json
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import (
    Proposal,
    ProposalOptions,
    ProposalStore,
    SuperpixelClassifier,
    choose,
    label_fractions,
    propose,
    propose_image,
    superpixel_features,
    trial,
)
from tinysegrank.superpixels import RegionGraph
from tinysegrank.voc import CLASS_NAMES, Sample

CHOSEN = "chosen.json"


def fit_proposers(run: Run) -> None:
    """Fit a classifier on all training images and one without each fold; choose the CRF's constants on fold 0."""
    folder, fold_of = run.folder("proposing"), data.folds(run)
    left_out = [-1, *range(run.settings.folds)]
    if not all(classifier_path(run, fold).is_file() for fold in left_out):
        examples = _examples(run)
        tasks = [
            _Fit(run.settings.seed, fold, fold_of != fold, examples, classifier_path(run, fold)) for fold in left_out
        ]
        with run.progress.count("superpixel classifiers", len(tasks)) as advance:
            for _ in parallel_map(_fit, tasks, jobs=1):  # each holds all features it is fitted on: one at a time
                advance(1)
        for path in examples:
            path.unlink()
    for fold in left_out:
        _say_what_is_not_learnt(run, fold)
    if not (folder / CHOSEN).is_file():
        _choose(run, np.flatnonzero(fold_of == 0))


def _say_what_is_not_learnt(run: Run, fold: int) -> None:
    path = classifier_path(run, fold)
    learnt = SuperpixelClassifier.load(path).classes_
    if few := [name for index, name in enumerate(CLASS_NAMES) if index not in learnt]:
        run.progress.say(f"{path.stem}: too few examples of {', '.join(few)}; they get a constant score")


def classifier_path(run: Run, fold: int) -> Path:
    """The superpixel classifier that did not see a fold (-1: it saw all)."""
    return run.folder("proposing") / ("all.safetensors" if fold < 0 else f"without-fold-{fold}.safetensors")


class _Examples(NamedTuple):
    """Files of the superpixels of all training images together."""

    features: Path  # (S, D) float32
    fractions: Path  # (S, K) float32
    weights: Path  # (S,) int64
    images: Path  # (S,) int64, number of each superpixel's image


def _examples(run: Run) -> _Examples:
    count = len(data.names(run, "train"))
    parts: list[tuple[np.ndarray, ...]] = []
    with run.progress.count("superpixel features", count) as advance:
        for part in parallel_map(_example, image_tasks(run, "train", list(range(count))), jobs=run.jobs):
            parts.append(part)
            advance(1)
    numbers = np.repeat(np.arange(count), [len(weights) for _, _, weights in parts])
    folder, kinds = run.folder("proposing"), ("features", "fractions", "weights")
    paths = _Examples(*(folder / f"examples.{kind}.npy" for kind in (*kinds, "images")))
    arrays = [np.concatenate([part[i] for part in parts]) for i in range(len(kinds))]
    for path, array in zip(paths, (*arrays, numbers), strict=True):
        with atomic_write(path) as stream:
            np.save(stream, array, allow_pickle=False)
    return paths


def _example(task: ImageTask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    described = _describe(task)
    return described.features, *label_fractions(described.sample.labels, described.superpixels)


class _Fit(NamedTuple):
    seed: int
    fold: int
    used: np.ndarray  # (images,) bool
    examples: _Examples
    path: Path


def _fit(task: _Fit) -> None:
    features, fractions, weights, images = (np.load(path, mmap_mode="r", allow_pickle=False) for path in task.examples)
    rows = np.flatnonzero(task.used[images])
    rng = np.random.default_rng([task.seed, task.fold + 1, 4])
    classifier = SuperpixelClassifier().fit(features[rows], fractions[rows], weights[rows], rng=rng)
    classifier.save(task.path)


class Classifier(NamedTuple):
    """A classifier's file, and the key of the stage that wrote it, which tells states of the file apart."""

    path: Path
    key: str


class _Trial(NamedTuple):
    """One image with the constants to try on it."""

    image: ImageTask
    classifier: Classifier
    grid: tuple[ProposalOptions, ...]


def _choose(run: Run, held_out: np.ndarray) -> None:
    """Choose strength and lambda by the oracle's corpus IoU on images that the classifier did not see."""
    asked, count = run.settings.proposals, min(run.settings.proposals.choice_images, len(held_out))
    indices = [int(i) for i in held_out[np.linspace(0, len(held_out) - 1, count).astype(int)]]
    grid = tuple(
        replace(asked.options, strength=strength, lam=lam) for strength in asked.strengths for lam in asked.lambdas
    )
    classifier = Classifier(classifier_path(run, 0), run.key("proposing"))
    tasks = [_Trial(image, classifier, grid) for image in image_tasks(run, "train", indices)]
    trials = []
    with run.progress.count(f"images under {len(grid)} settings of the CRF", len(tasks)) as advance:
        for of_image in parallel_map(_try, tasks, jobs=run.jobs):
            trials.append(of_image)
            advance(1)
    choice = choose(grid, trials)
    run.progress.say(
        f"strength {choice.best.strength:g}, lambda {choice.best.lam:g}: oracle {choice.oracle.max():.1%}, 1-best "
        f"{choice.one_best[choice.oracle.argmax()]:.1%} mean IoU on {count} held-out training images"
    )
    tried = [
        {"strength": options.strength, "lam": options.lam, "oracle": float(oracle), "one_best": float(one_best)}
        for options, oracle, one_best in zip(grid, choice.oracle, choice.one_best, strict=True)
    ]
    write_json(run.folder("proposing") / CHOSEN, {"options": to_dict(choice.best), "tried": tried})


def _try(task: _Trial) -> np.ndarray:
    described = _describe(task.image)
    return np.stack([trial(described.sample.labels, _proposals(described, task.classifier, o)) for o in task.grid])


def chosen_options(run: Run) -> ProposalOptions:
    """The constants that `fit_proposers` chose."""
    return from_dict(ProposalOptions, read_json(run.folder("proposing") / CHOSEN)["options"])


def store(run: Run, which: str) -> ProposalStore:
    """The proposals of a split."""
    return ProposalStore(run.folder("proposals") / which)


class _Propose(NamedTuple):
    image: ImageTask
    classifier: Classifier
    options: ProposalOptions
    store: Path


def propose_all(run: Run) -> None:
    """Write the proposals of every image; a training image's come from the classifier that did not see it."""
    options, fold_of, key = chosen_options(run), data.folds(run), run.key("proposing")
    for which in ("train", "val"):
        names, target = data.names(run, which), store(run, which)
        missing = [i for i, name in enumerate(names) if name not in target]
        unseen_by = [
            Classifier(classifier_path(run, int(fold_of[i]) if which == "train" else -1), key) for i in missing
        ]
        images = image_tasks(run, which, missing)
        tasks = [_Propose(image, by, options, target.root) for image, by in zip(images, unseen_by, strict=True)]
        with run.progress.count(f"{which} images", len(names)) as advance:
            advance(len(names) - len(missing))
            for _ in parallel_map(_propose_one, tasks, jobs=run.jobs):
                advance(1)


def _propose_one(task: _Propose) -> None:
    described = _describe(task.image)
    ProposalStore(task.store).write(described.sample.name, _proposals(described, task.classifier, task.options))


def load_proposer(run: Run) -> Callable[[np.ndarray], list[Proposal]]:
    """A function from an image (H, W, 3) to its proposals, made as this run made those of val."""
    asked, classifier = run.settings.superpixels, SuperpixelClassifier.load(classifier_path(run, -1))
    return partial(
        propose_image,
        classifier=classifier,
        options=chosen_options(run),
        segments=asked.segments,
        compactness=asked.compactness,
    )


class _Described(NamedTuple):
    """An image with what is computed of it before any classifier."""

    sample: Sample
    superpixels: np.ndarray
    graph: RegionGraph
    features: np.ndarray


def _describe(task: ImageTask) -> _Described:
    sample = data.split_in_worker(task.settings, task.which)[task.number]
    regions = read_superpixels(task.regions, sample.name)
    graph = superpixels.region_graph(regions, sample.image)
    return _Described(sample, regions, graph, superpixel_features(sample.image, regions, graph))


def _proposals(described: _Described, classifier: Classifier, options: ProposalOptions) -> list[Proposal]:
    loaded = _classifier_in_worker(classifier)
    log_probabilities = loaded.log_probabilities(described.features, balance=options.balance)
    return propose(log_probabilities, described.superpixels, described.graph, options)


@lru_cache(maxsize=4)
def _classifier_in_worker(classifier: Classifier) -> SuperpixelClassifier:
    return SuperpixelClassifier.load(classifier.path)
