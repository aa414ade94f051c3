"""Trainings of SegNet's head on a run's stored features, judged on val in the course of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.errors import TrainingError
from tinysegrank.evidence.claims import SEEDS_RULE
from tinysegrank.evidence.measures import Judge, make_judge
from tinysegrank.evidence.piece import Request
from tinysegrank.experiment import artifacts
from tinysegrank.experiment.images import IMAGES
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import described, features
from tinysegrank.experiment.stages.features import read_scale, store
from tinysegrank.experiment.stages.training import START, Training, count_steps, network_path
from tinysegrank.experiment.stages.trunk import NETWORK
from tinysegrank.files import read_arrays, read_json, write_arrays, write_json, write_text
from tinysegrank.parallel import parallel_map
from tinysegrank.reporting import Column, Curve, Table
from tinysegrank.segnet import SegNet, TrainingOptions, load_segnet, predict_store, save_segnet, train
from tinysegrank.stamps import Key, file_digest

LOSS_NAMES = {"ce": "CE", "uoi": "UOI", "iou": "IOU", "uoi+ce": "0.7 UOI + 0.3 CE"}
_TRAININGS, _OUTCOME, _TRAINED = "trainings", "outcome.json", "trained"
_JUDGEMENTS = 12  # of a training at most, without that of its start


class Head(NamedTuple):
    """A task for a worker process: one training of SegNet's head, and how to judge it."""

    run: Run  # has the features to train on
    folder: Path  # for the checkpoint, the judgements and the network
    options: TrainingOptions
    seeds: list[int]  # with those and the options of a `training.Training`, it is the run's own, to the bit
    judge: Judge
    begin: Path | None = None  # file of the network to continue from; None: a random head

    def key(self) -> Key:
        """Return the key of the training's folder."""
        run, ranking = self.run, self.run.settings.ranking
        picked = [ranking.eps, ranking.background_weight, run.content(described.STAGE.name)] if self.judge.picks else []
        begin = file_digest(self.begin) if self.begin else ""
        read = [run.content(need) for need in (IMAGES[1], features.STAGE.name)]
        return artifacts.key([self.options, self.seeds, run.settings.coarse], [begin, picked, read], __name__)


def train_heads(run: Run, heads: Sequence[Head]) -> None:
    """Train the heads that are not trained yet in worker processes, and report each."""
    with count_steps(run, {head.folder: head.options.steps for head in heads}):
        for name in parallel_map(train_head, heads, jobs=run.backend_jobs):
            run.progress.say(f"trained {name}")


def train_head(head: Head) -> str:
    """Train and judge a head, unless that is finished; resume an interrupted training. Return the head's name."""
    artifacts.make(head.folder, head.key(), partial(_train, head), whole_folders=True)
    return f"{head.folder.parent.name}/{head.folder.name}"


def _train(head: Head) -> None:
    folder, options, features = head.folder, head.options, store(head.run, "train")
    checkpoint, outcome = folder / "checkpoint.safetensors", _TRAINED
    if head.begin:
        model = load_segnet(head.begin)
    else:
        settings, rng = head.run.settings, np.random.default_rng(head.seeds)
        model = SegNet(len(settings.classes), settings.trunk.preset, rng=rng)
        model.feature_scale = read_scale(head.run)
    if not checkpoint.is_file():
        _judge(head, model, 0)

    def progress(step: int, loss: float) -> None:  # noqa: ARG001
        _judge(head, model, step)
        write_text(folder / "step.txt", str(step))

    seed, every = np.random.SeedSequence(head.seeds).generate_state(1)[0], int(judged_steps(options)[1])
    often: dict[str, Any] = {"checkpoint": checkpoint, "checkpoint_every": every, "log_every": every}
    try:
        train(model, features, np.arange(features.images), options, seed=int(seed), progress=progress, **often)
    except TrainingError as error:
        outcome = str(error)
    save_segnet(folder / NETWORK, model)
    write_json(folder / _OUTCOME, {"outcome": outcome})


def _judge(head: Head, model: SegNet, step: int) -> None:
    """Judge the network after `step` steps, and write its confusion matrices to step-STEP.safetensors."""
    run, ranking = head.run, head.run.settings.ranking
    coarse = predict_store(model, store(run, "val"), mirrored=run.settings.coarse.mirrored)  # (N, 13, 13, K)
    if not np.isfinite(coarse).all():
        raise TrainingError(f"step {step}: the coarse maps are not finite; lower the rate")
    arrays = {"steps": np.array(step), "naive": head.judge.naive(coarse)}
    if head.judge.picks:
        arrays["picks"] = head.judge.eq17(coarse, ranking.eps, ranking.background_weight)
    write_arrays(head.folder / f"step-{step:07}.safetensors", arrays)


def judged_steps(options: TrainingOptions) -> np.ndarray:
    """Return the numbers of steps after which a training is judged, the start and the end included: (E,) int64."""
    return np.unique([*range(0, options.steps, -(-options.steps // _JUDGEMENTS)), options.steps])


class Trainings(NamedTuple):
    """Trainings with each of several losses and seeds; losses are named as in LOSS_NAMES."""

    steps: Mapping[str, np.ndarray]  # by loss, the numbers of steps after which trainings were judged, (E,) int64
    seeds: tuple[int, ...]
    folders: Mapping[tuple[str, int], Path]  # by loss and seed

    def values(self, kind: str, measure: Callable[[np.ndarray], float]) -> dict[str, np.ndarray]:
        """Measure the confusion matrices of a kind, "naive" or "picks": (seeds, E) by loss, NaN after a divergence."""
        found = {name: np.full((len(self.seeds), len(steps)), np.nan) for name, steps in self.steps.items()}
        for (name, seed), folder in self.folders.items():
            for number, file in enumerate(sorted(folder.glob("step-*.safetensors"))):
                found[name][self.seeds.index(seed), number] = measure(read_arrays(file)[kind])
        return found

    def curves(self, values: Mapping[str, np.ndarray]) -> dict[str, Curve]:
        """Return a curve for each loss: the mean over seeds of `values`, with a band from the smallest to the largest.

        A curve ends where a training with one of the seeds diverged.
        """
        return {name: Curve.of_mean(self.steps[name], of) for name, of in values.items()}

    def table(self, title: str, columns: Mapping[str, Any], note: str = "") -> Table:
        """Return a table with one row per number of steps, and all of `columns` for each loss.

        A column is (values, statistic): the result of `values` and a function such as np.mean, called with axis=0, the
        seeds. Its heading is the name of the loss and, right after that, its key in `columns`, such as ": IoU". A
        sentence on the seeds is appended to `note`, which ends in a space unless it is empty.
        """
        every, filled = np.unique(np.concatenate(list(self.steps.values()))), {}
        for name, steps in self.steps.items():
            for heading, (values, statistic) in columns.items():
                filled[f"{name}{heading}"] = column = np.full(len(every), np.nan)
                column[np.searchsorted(every, steps)] = statistic(values[name], axis=0)
        rows = zip(every.tolist(), *(column.tolist() for column in filled.values()), strict=True)
        seeds = ", ".join(map(str, self.seeds))
        note += f"Means of the seeds {seeds}." if len(self.seeds) > 1 else f"Seed {seeds} alone."
        return Table(title, (Column("steps", "d"), *map(Column, filled)), tuple(rows), note)

    def notes(self) -> tuple[str, ...]:
        """Return notes: how orderings are judged, and a line for each training that diverged."""
        outcomes = {pair: read_json(folder / _OUTCOME)["outcome"] for pair, folder in self.folders.items()}
        stopped = (f"{name}, seed {seed}: {of}" for (name, seed), of in outcomes.items() if of != _TRAINED)
        return (SEEDS_RULE, *stopped)


def train_by_loss(request: Request, options: Mapping[str, TrainingOptions], *, continued: bool) -> Trainings:
    """Train a head with each loss and each of the request's seeds; `options` are by the keys of LOSS_NAMES.

    If `continued`, all trainings begin at `network_of_start`, and the picks of Eq. 17 are judged too; else, for each
    seed, all losses begin at the same random head.
    """
    run, judge, heads = request.run, make_judge(request.run, picks=continued), {}
    begin = network_of_start(request) if continued else None
    for seed in request.seeds:
        for loss, of_loss in options.items():
            folder = request.folder / _TRAININGS / f"{loss}-seed-{seed}"
            seeds = Training(-1, loss if begin else START).seeds(seed)
            heads[LOSS_NAMES[loss], seed] = Head(run, folder, of_loss, seeds, judge, begin)
    train_heads(run, list(heads.values()))
    steps = {LOSS_NAMES[loss]: judged_steps(of_loss) for loss, of_loss in options.items()}
    return Trainings(steps, request.seeds, {pair: head.folder for pair, head in heads.items()})


def network_of_start(request: Request) -> Path:
    """Return the file of the network to continue from: the run's start, or one trained here for `start_steps`."""
    run, steps, start = request.run, request.run.settings.evidence.start_steps, Training(-1, START)
    if not steps:
        return network_path(run, start)
    options, folder = replace(run.settings.training.start, steps=steps), request.folder / _TRAININGS / START
    train_heads(run, [Head(run, folder, options, start.seeds(run.settings.seed), make_judge(run, picks=True))])
    return folder / NETWORK
