"""Trainings of SegNet's head on a run's cached features, judged on val as they go."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import TrainingError
from tinysegrank.evidence.judge import Judge
from tinysegrank.evidence.pieces import Asked
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import LOSSES, Settings
from tinysegrank.experiment.stages import crops as crops_stage
from tinysegrank.experiment.stages.features import read_scale, store
from tinysegrank.experiment.stages.training import START, count_steps
from tinysegrank.experiment.stages.trunk import NETWORK
from tinysegrank.files import read_arrays, read_json, write_arrays, write_json, write_text
from tinysegrank.parallel import parallel_map
from tinysegrank.reporting import Curve
from tinysegrank.segnet import (
    CropStore,
    FeatureStore,
    SegNet,
    TrainingOptions,
    load_segnet,
    predict_store,
    save_segnet,
    train,
)

TRAINED = "trained"
EVALUATIONS = 12
"""How often a training is judged at most, its start left out."""


@dataclass(frozen=True)
class Head:
    """One training, with everything that a worker process needs.

    Attributes:
        folder: where its checkpoint, its judgements and its network go.
        begin: the network it continues from; None: a random head, drawn from `seeds`.
        seeds: with those of `networks` the training is the run's own, to the bit.
        picks: judge the picks of Eq. 17 too, not only naive upsampling.
    """

    folder: Path
    begin: Path | None
    seeds: tuple[int, ...]
    options: TrainingOptions
    settings: Settings
    stores: tuple[FeatureStore, FeatureStore]  # train, val
    crops: CropStore | None  # of val
    scale: float
    key: str  # of the features, and of the crops' where there are any
    judge: Judge
    picks: bool

    def made_from(self) -> str:
        """A digest of all that the result depends on."""
        begin = self.begin.read_bytes() if self.begin else b""
        ranking = self.settings.ranking
        picked = (self.judge.soft.name, ranking.eps, ranking.background_weight) if self.picks else ()
        judged = (self.judge.cells.name, self.settings.coarse, picked)
        made = repr((self.options, self.seeds, self.scale, self.key, judged))
        return hashlib.sha256(begin + made.encode()).hexdigest()


class Judged(NamedTuple):
    """What was judged of a training, from its start to its end.

    steps   | (E,)      | int64   | 0 and up
    naive   | (E, K, K) | int64   | confusion of naive upsampling after so many steps
    picks   | (E, K, K) | int64   | confusion of Eq. 17's picks; as naive where they were not judged
    losses  | (E,)      | float64 | mean of the minibatches since the judgement before; NaN at the start
    """

    steps: np.ndarray
    naive: np.ndarray
    picks: np.ndarray
    losses: np.ndarray
    outcome: str  # TRAINED, or why it stopped


def continued_seeds(seed: int, loss: str) -> tuple[int, ...]:
    """The seeds of the training on all images that continues with a loss (or START), as `networks` has them."""
    return (seed, 0, (START, *LOSSES).index(loss))


def make_head(
    run: Run,
    folder: Path,
    options: TrainingOptions,
    seeds: tuple[int, ...],
    *,
    begin: Path | None,
    judge: Judge,
    picks: bool,
) -> Head:
    """Describe a training on the features of a run."""
    stores, crops = (store(run, "train"), store(run, "val")), crops_stage.store(run, "val")
    key, scale = run.content("features") + (run.content("crops") if crops else ""), read_scale(run)
    return Head(folder, begin, seeds, options, run.settings, stores, crops, scale, key, judge, picks)


def train_heads(run: Run, heads: Sequence[Head]) -> list[Judged]:
    """Train what is not there yet, side by side, and read what was judged of each."""
    with count_steps(run, [(one.folder, one.options.steps) for one in heads]):
        for name in parallel_map(train_head, heads, jobs=run.jobs):
            run.progress.say(f"trained {name}")
    return [read_judged(one.folder) for one in heads]


def train_seeds(
    asked: Asked,
    options: Mapping[str, TrainingOptions],
    seeds_of: Callable[[int, str], tuple[int, ...]],
    *,
    begin: Path | None,
    judge: Judge,
    picks: bool,
) -> dict[tuple[str, int], Judged]:
    """Train with each loss's options and each seed from one beginning, and read what was judged, by loss and seed.

    Args:
        asked: names run, folder and seeds.
        options: by loss.
        seeds_of: from a seed and a loss to the seeds of the training.
        begin: see `Head`.
        judge: judges.
        picks: see `Head`.
    """
    pairs = [(loss, seed) for seed in asked.seeds for loss in options]
    heads = []
    for loss, seed in pairs:
        folder = asked.folder / "trainings" / f"{loss}-seed-{seed}"
        head = make_head(asked.run, folder, options[loss], seeds_of(seed, loss), begin=begin, judge=judge, picks=picks)
        heads.append(head)
    return dict(zip(pairs, train_heads(asked.run, heads), strict=True))


def train_head(task: Head) -> str:
    """Train and judge, unless it is done; an interrupted training goes on where it stopped."""
    name = f"{task.folder.parent.name}/{task.folder.name}"
    note, made_from = task.folder / "made_from.txt", task.made_from()
    if not note.is_file() or note.read_text() != made_from:
        shutil.rmtree(task.folder, ignore_errors=True)
        write_text(note, made_from)
    if (task.folder / "done.json").is_file():
        return name
    model = _begin(task)
    every = judged_every(task.options)
    checkpoint = task.folder / "checkpoint.safetensors"
    if not checkpoint.is_file():
        _judge(task, model, 0, float("nan"))

    def progress(step: int, loss: float) -> None:
        _judge(task, model, step, loss)
        write_text(task.folder / "step.txt", str(step))

    outcome = TRAINED
    try:
        train(
            model,
            task.stores[0],
            np.arange(task.stores[0].images),
            task.options,
            seed=int(np.random.SeedSequence(list(task.seeds)).generate_state(1)[0]),
            checkpoint=checkpoint,
            checkpoint_every=every,
            log_every=every,
            progress=progress,
        )
    except TrainingError as error:
        outcome = str(error)
    save_segnet(task.folder / NETWORK, model)
    write_json(task.folder / "done.json", {"outcome": outcome})
    return name


def read_judged(folder: Path) -> Judged:
    """What was judged of a training that is done."""
    arrays = [read_arrays(file) for file in sorted(folder.glob("step-*.safetensors"))]
    parts = {name: np.stack([array[name] for array in arrays]) for name in arrays[0]}
    picks = parts.get("picks", parts["naive"])
    outcome = str(read_json(folder / "done.json")["outcome"])
    return Judged(parts["steps"], parts["naive"], picks, parts["loss"], outcome)


def judged_steps(options: TrainingOptions) -> np.ndarray:
    """The steps after which a training is judged, (E,) int64; one that diverges is judged after the first of them."""
    every = judged_every(options)
    return np.unique([*range(0, options.steps, every), options.steps])


def judged_every(options: TrainingOptions) -> int:
    """Steps from one judgement to the next."""
    return -(-options.steps // EVALUATIONS)


def padded(values: Sequence[np.ndarray], options: TrainingOptions) -> np.ndarray:
    """One row a training with these options, NaN where it had diverged | each (E',) to (n, E) float64."""
    rows = np.full((len(values), len(judged_steps(options))), np.nan)
    for row, of_training in zip(rows, values, strict=True):
        row[: len(of_training)] = of_training
    return rows


def curve(steps: np.ndarray, values: np.ndarray) -> Curve:
    """Mean, smallest and largest over the seeds, up to where a training diverged | (E,), (n, E)."""
    of = values[:, np.isfinite(values).all(axis=0)]
    return Curve(steps[: of.shape[1]], of.mean(axis=0), of.min(axis=0), of.max(axis=0))


def diverged(judged: Mapping[tuple[str, int], Judged], names: Mapping[str, str]) -> tuple[str, ...]:
    """A note on each training, by loss and seed, that did not come to its end."""
    return tuple(
        f"{names[loss]}, seed {seed}: {one.outcome}" for (loss, seed), one in judged.items() if one.outcome != TRAINED
    )


def _begin(task: Head) -> SegNet:
    if task.begin is not None:
        return load_segnet(task.begin)
    preset = task.settings.trunk.preset
    model = SegNet(preset=preset, rng=np.random.default_rng(list(task.seeds)))
    model.feature_scale = task.scale
    return model


def _judge(task: Head, model: SegNet, step: int, loss: float) -> None:
    """Write the confusions of the network as it is.

    Raises:
        TrainingError: its maps are not finite.
    """
    mirrored, ranking = task.settings.coarse.mirrored, task.settings.ranking
    coarse = predict_store(model, task.stores[1], mirrored=mirrored, crops=task.crops)  # (N, 13, 13, K)
    if not np.isfinite(coarse).all():
        raise TrainingError(f"step {step}: the coarse maps are not finite; lower the rate")
    arrays = {"naive": task.judge.naive(coarse).matrix}
    if task.picks:
        weight = ranking.background_weight
        arrays["picks"] = task.judge.eq17(coarse, eps=ranking.eps, background_weight=weight).matrix
    arrays |= {"steps": np.array(step), "loss": np.array(loss)}
    write_arrays(task.folder / f"step-{step:07}.safetensors", arrays)
