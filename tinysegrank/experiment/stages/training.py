"""The trainings of SegNet's head, in parallel where they don't depend on each other."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import TrainingError
from tinysegrank.experiment import artifacts, images
from tinysegrank.experiment.progress import Advance
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import LOSSES, Settings
from tinysegrank.experiment.stages import features, trunk
from tinysegrank.files import reading, write_text
from tinysegrank.parallel import parallel_map
from tinysegrank.segnet import SegNet, TrainingOptions, load_segnet, save_segnet, train
from tinysegrank.stamps import file_digest

START = "start"


class Training(NamedTuple):
    """One training of SegNet's head: `fold` is the fold left out (-1: none), `loss` is START or one of LOSSES."""

    fold: int
    loss: str

    @property
    def name(self) -> str:
        """Name of the training and of its folder, such as "all-uoi" or "without-fold-0-start"."""
        return f"{'all' if self.fold < 0 else f'without-fold-{self.fold}'}-{self.loss}"

    def seeds(self, seed: int) -> list[int]:
        """Return numbers to seed a generator with, which no other training of a run with this seed has."""
        return [seed, self.fold + 1, (START, *LOSSES).index(self.loss)]


def trainings(settings: Settings) -> list[list[Training]]:
    """Return the trainings in independent chains: a cross-entropy start, then the trainings that continue from it.

    On all training images every loss is trained, for the results on val; with a fold left out, only the ranker's loss.
    """
    everything = [Training(-1, loss) for loss in (START, *LOSSES)]
    folds = range(settings.folds)
    return [everything, *([Training(fold, START), Training(fold, settings.ranking.loss)] for fold in folds)]


def network_path(run: Run, training: Training) -> Path:
    """Return the file of a trained network."""
    return run.folder(STAGE.name) / training.name / trunk.NETWORK


def make(run: Run) -> None:
    """Train every network that is missing or stale, the chains in parallel; delete networks of other settings."""
    chains, schedule = trainings(run.settings), run.settings.training
    steps = {network_path(run, one).parent: schedule.of(one.loss).steps for chain in chains for one in chain}
    for path in run.folder(STAGE.name).iterdir():
        if path.is_dir() and path not in steps:
            shutil.rmtree(path)
    with count_steps(run, steps):
        for names in parallel_map(partial(_train_chain, run), chains, jobs=run.jobs):
            run.progress.say(f"trained {', '.join(names)}")


def _train_chain(run: Run, chain: list[Training]) -> list[str]:
    """Train the missing or stale networks of a chain, first the start, from which the others begin; name all."""
    scale, content, fold_of = features.read_scale(run), run.content("features/train"), images.folds(run)
    for training in chain:
        options, used = run.settings.training.of(training.loss), np.flatnonzero(fold_of != training.fold)
        before = network_path(run, Training(training.fold, START))
        begin = trunk.network_path(run) if training.loss == START else before
        inputs = [file_digest(begin), content, used.tolist(), scale]
        key = artifacts.key([options, training.seeds(run.settings.seed)], inputs, __name__)
        work = partial(_train, run, training, begin, used, options)
        artifacts.make(network_path(run, training).parent, key, work)
    return [training.name for training in chain]


def _train(run: Run, training: Training, begin: Path, used: np.ndarray, options: TrainingOptions) -> None:
    """Train one head on the training images `used`, from the network in `begin`; write it and its log to a folder."""
    folder, model, settings = network_path(run, training).parent, load_segnet(begin), run.settings
    seeds = training.seeds(settings.seed)
    if training.loss == START:  # the trunk's file has no head of the data's classes: draw one
        trunk_only, rng = model, np.random.default_rng(seeds)
        model = SegNet(len(settings.classes), settings.trunk.preset, rng=rng, backend=trunk_only.backend)
        model.network.assign(trunk_only.trunk.parameters)
        model.feature_scale = features.read_scale(run)
    try:
        records = train(
            model,
            features.store(run, "train"),
            used,
            options,
            seed=int(np.random.SeedSequence(seeds).generate_state(1)[0]),
            checkpoint=folder / "checkpoint.safetensors",
            progress=lambda step, loss: write_text(folder / "step.txt", str(step)),  # noqa: ARG005
        )
    except TrainingError as error:
        raise TrainingError(f"{training.name}: {error}") from error
    lines = ["step,loss", *(f"{record.step},{record.loss!r}" for record in records)]
    write_text(folder / "log.csv", "\n".join(lines) + "\n")
    write_text(folder / "step.txt", str(options.steps))  # here too, where it was lost after the last step
    save_segnet(folder / trunk.NETWORK, model)


def read_log(run: Run, training: Training) -> tuple[np.ndarray, np.ndarray]:
    """Read a training's log: the step of each line, and the mean loss since the line before."""
    log = network_path(run, training).with_name("log.csv")
    with reading(log):
        steps, losses = np.loadtxt(log, delimiter=",", skiprows=1, ndmin=2).T
        return steps, losses


@contextmanager
def count_steps(run: Run, steps: Mapping[Path, int]) -> Iterator[None]:
    """Show the progress of trainings in worker processes during a `with` block, read from step.txt in their folders.

    `steps` are the trainings' numbers of steps, by folder.
    """
    done = threading.Event()

    def watch(advance: Advance) -> None:
        shown = sum(map(_steps_taken, steps))
        advance(shown)  # at once: those of an earlier command say nothing about this one's pace
        while not done.wait(1.0):
            taken = sum(map(_steps_taken, steps))
            advance(taken - shown)
            shown = taken

    with run.progress.count("training steps", sum(steps.values())) as advance:
        watcher = threading.Thread(target=watch, args=(advance,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def _steps_taken(folder: Path) -> int:
    try:
        return int((folder / "step.txt").read_text())
    except (OSError, ValueError):
        return 0


STAGE = Stage(
    "training",
    make,
    (images.IMAGES[0], "trunk", "features/train", "features/scale.json"),
    lambda s: [s.training, s.folds, s.seed, s.ranking.loss],
    backend=True,
    batches=[f"training.{name}.batch" for name in ("start", "ce", "uoi", "iou", "uoi_ce")],
    parts=True,
)
