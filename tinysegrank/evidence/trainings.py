"""Trainings of SegNet's head on a run's stored features, judged on val as they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import TrainingError
from tinysegrank.evidence.judge import Judge
from tinysegrank.evidence.piece import Request
from tinysegrank.experiment import artifacts
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import crops
from tinysegrank.experiment.stages.features import read_scale, store
from tinysegrank.experiment.stages.training import count_steps
from tinysegrank.experiment.stages.trunk import NETWORK
from tinysegrank.files import read_arrays, read_json, write_arrays, write_json, write_text
from tinysegrank.parallel import parallel_map
from tinysegrank.reporting import Column, Curve, Table
from tinysegrank.segnet import SegNet, TrainingOptions, load_segnet, predict_store, save_segnet, train

_TRAINED, _OUTCOME = "trained", "outcome.json"
_JUDGEMENTS = 12  # of a training at most, without that of its start


class Head(NamedTuple):
    """The task of a worker process: one training, and how to evaluate it."""

    run: Run  # whose features it trains on
    folder: Path  # for its checkpoint, its judgements and its network
    options: TrainingOptions
    seeds: list[int]  # with those of the stage `training` it is the run's own training, to the bit
    judge: Judge
    begin: Path | None = None  # the network it continues from; None: a random head
    picks: bool = False  # judge the picks of Eq. 17 too, not only naive upsampling

    def key(self) -> artifacts.Key:
        """Return what its results depend on."""
        run, ranking = self.run, self.run.settings.ranking
        picked = [ranking.eps, ranking.background_weight, run.content("described")] if self.picks else []
        begin = artifacts.file_digest(self.begin) if self.begin else ""
        read = [run.content(stage) for stage in ("data/val.json", "features", "crops")]
        return artifacts.key([self.options, self.seeds, run.settings.coarse], [begin, picked, read], __name__)


class History(NamedTuple):
    """The evaluations of a training from start to end, and its outcome: "trained", or why it stopped.

    steps   | (E,)      | int64 | 0 and up
    naive   | (E, K, K) | int64 | confusion of naive upsampling after that many steps
    picks   | (E, K, K) | int64 | confusion of Eq. 17's picks; that of naive upsampling where they were not judged
    """

    steps: np.ndarray
    naive: np.ndarray
    picks: np.ndarray
    outcome: str


def train_heads(run: Run, heads: Sequence[Head]) -> list[History]:
    """Train the heads that are not trained yet, in parallel, and return the history of each."""
    with count_steps(run, [(head.folder, head.options.steps) for head in heads]):
        for name in parallel_map(train_head, heads, jobs=run.jobs):
            run.progress.say(f"trained {name}")
    return [read_history(head.folder) for head in heads]


def train_head(head: Head) -> str:
    """Train a head and evaluate it, unless that is finished; resume an interrupted training. Return its name."""
    artifacts.make(head.folder, head.key(), partial(_train, head), whole_folders=True)
    return f"{head.folder.parent.name}/{head.folder.name}"


def _train(head: Head) -> None:
    folder, options, every = head.folder, head.options, _judged_every(head.options)
    features, checkpoint = store(head.run, "train"), folder / "checkpoint.safetensors"
    model = load_segnet(head.begin) if head.begin else _random_head(head)
    if not checkpoint.is_file():
        _judge(head, model, 0)

    def progress(step: int, loss: float) -> None:  # noqa: ARG001
        _judge(head, model, step)
        write_text(folder / "step.txt", str(step))

    outcome = _TRAINED
    try:
        train(
            model,
            features,
            np.arange(features.images),
            options,
            seed=int(np.random.SeedSequence(head.seeds).generate_state(1)[0]),
            checkpoint=checkpoint,
            checkpoint_every=every,
            log_every=every,
            progress=progress,
        )
    except TrainingError as error:
        outcome = str(error)
    save_segnet(folder / NETWORK, model)
    write_json(folder / _OUTCOME, {"outcome": outcome})


def _random_head(head: Head) -> SegNet:
    model = SegNet(preset=head.run.settings.trunk.preset, rng=np.random.default_rng(head.seeds))
    model.feature_scale = read_scale(head.run)
    return model


def _judge(head: Head, model: SegNet, step: int) -> None:
    """Evaluate the network after `step` steps, and write the confusions.

    Raises:
        TrainingError: its maps are not finite.
    """
    run, ranking = head.run, head.run.settings.ranking
    whole, corners = store(run, "val"), crops.store(run, "val")
    coarse = predict_store(model, whole, mirrored=run.settings.coarse.mirrored, crops=corners)  # (N, 13, 13, K)
    if not np.isfinite(coarse).all():
        raise TrainingError(f"step {step}: the coarse maps are not finite; lower the rate")
    arrays = {"steps": np.array(step), "naive": head.judge.naive(coarse).matrix}
    if head.picks:
        options = {"eps": ranking.eps, "background_weight": ranking.background_weight}
        arrays["picks"] = head.judge.eq17(coarse, **options).matrix
    write_arrays(head.folder / f"step-{step:07}.safetensors", arrays)


def read_history(folder: Path) -> History:
    """Read the history of a finished training."""
    arrays = [read_arrays(file) for file in sorted(folder.glob("step-*.safetensors"))]
    parts = {name: np.stack([array[name] for array in arrays]) for name in arrays[0]}
    outcome = str(read_json(folder / _OUTCOME)["outcome"])
    return History(parts["steps"], parts["naive"], parts.get("picks", parts["naive"]), outcome)


def _judged_every(options: TrainingOptions) -> int:
    return -(-options.steps // _JUDGEMENTS)


def judged_steps(options: TrainingOptions) -> np.ndarray:
    """Return the steps after which a training is evaluated, (E,) int64; one that diverges stops before the last."""
    return np.unique([*range(0, options.steps, _judged_every(options)), options.steps])


class Trainings(NamedTuple):
    """Trainings from one start: their options by loss, the seeds of each loss, and the histories by loss and seed."""

    options: Mapping[str, TrainingOptions]
    seeds: tuple[int, ...]
    histories: Mapping[tuple[str, int], History]

    def values(self, measure: Callable[[History], np.ndarray]) -> dict[str, np.ndarray]:
        """Apply `measure` to each history; return the results, (seeds, E) by loss, NaN after a training diverged."""
        found = {}
        for loss, options in self.options.items():
            found[loss] = np.full((len(self.seeds), len(judged_steps(options))), np.nan)
            for row, seed in zip(found[loss], self.seeds, strict=True):
                measured = measure(self.histories[loss, seed])
                row[: len(measured)] = measured
        return found

    def diverged(self, names: Mapping[str, str]) -> tuple[str, ...]:
        """Return a note on each training that diverged; `names` maps losses to the names to print."""
        stopped = ((pair, one.outcome) for pair, one in self.histories.items() if one.outcome != _TRAINED)
        return tuple(f"{names[loss]}, seed {seed}: {outcome}" for (loss, seed), outcome in stopped)


def train_by_loss(
    request: Request,
    options: Mapping[str, TrainingOptions],
    seeds_of: Callable[[int, str], list[int]],
    judge: Judge,
    *,
    begin: Path | None = None,
    picks: bool = False,
) -> Trainings:
    """Train a head with each loss and each of the request's seeds.

    `seeds_of` turns a seed and a loss into the list of seeds that starts the training's random generator.
    """
    pairs = [(loss, seed) for seed in request.seeds for loss in options]
    heads = []
    for loss, seed in pairs:
        folder = training_folder(request, f"{loss}-seed-{seed}")
        heads.append(Head(request.run, folder, options[loss], seeds_of(seed, loss), judge, begin, picks))
    return Trainings(options, request.seeds, dict(zip(pairs, train_heads(request.run, heads), strict=True)))


def training_folder(request: Request, training: str) -> Path:
    """Return the folder of a training of a piece."""
    return request.folder / "trainings" / training


def seeds_note(seeds: tuple[int, ...]) -> str:
    """Describe the seeds that values are averaged over."""
    return f"Seed {seeds[0]} alone." if len(seeds) == 1 else f"Means of the seeds {', '.join(map(str, seeds))}."


def steps_table(title: str, columns: Mapping[str, tuple[np.ndarray, np.ndarray]], note: str) -> Table:
    """Return a table with one row per number of steps; each column is given as its steps (E,) and values (E,)."""
    every = np.unique(np.concatenate([steps for steps, _ in columns.values()]))
    cells = np.full((len(every), len(columns)), np.nan)
    for number, (steps, values) in enumerate(columns.values()):
        cells[np.searchsorted(every, steps), number] = values
    rows = tuple((int(step), *row) for step, row in zip(every, cells.tolist(), strict=True))
    return Table(title, (Column("steps", "d"), *map(Column, columns)), rows, note)


def curve(steps: np.ndarray, values: np.ndarray) -> Curve:
    """Return the curve of the mean over seeds, with a band from smallest to largest, up to where a training diverged.

    steps  | (E,)       | integer  |
    values | (seeds, E) | floating | NaN after a training diverged
    """
    finite = values[:, np.isfinite(values).all(axis=0)]
    return Curve(steps[: finite.shape[1]], finite.mean(axis=0), finite.min(axis=0), finite.max(axis=0))
