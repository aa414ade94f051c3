"""The trainings of SegNet's head, in parallel where they don't depend on each other."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
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
from tinysegrank.segnet import FeatureStore, SegNet, TrainingOptions, load_segnet, save_segnet, train
from tinysegrank.stamps import Key, file_digest

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


class _Task(NamedTuple):
    run: Run
    training: Training
    store: FeatureStore
    images: np.ndarray
    options: TrainingOptions
    feature_scale: float
    features_content: str
    begin: Path

    @property
    def folder(self) -> Path:
        """Folder of the network, the log and the checkpoint."""
        return network_path(self.run, self.training).parent

    def key(self) -> Key:
        """Return the key of the network's folder."""
        inputs = [file_digest(self.begin), self.features_content, self.images.tolist(), self.feature_scale]
        return artifacts.key([self.options, self.training.seeds(self.run.settings.seed)], inputs, __name__)


def make(run: Run) -> None:
    """Train every network that is missing or stale, the chains in parallel."""
    scale, content = features.read_scale(run), run.content("features/train")
    fold_of, schedule, store = images.folds(run), run.settings.training, features.store(run, "train")
    _remove_others(run)
    chains = []
    for chain in trainings(run.settings):
        tasks = []
        for training in chain:
            used = np.flatnonzero(fold_of != training.fold)
            options = schedule.start if training.loss == START else schedule.continued(training.loss)
            before = Training(training.fold, START)
            begin = trunk.network_path(run) if training.loss == START else network_path(run, before)
            tasks.append(_Task(run, training, store, used, options, scale, content, begin))
        chains.append(tasks)
    with count_steps(run, [(task.folder, task.options.steps) for tasks in chains for task in tasks]):
        for names in parallel_map(_train_chain, chains, jobs=run.jobs):
            run.progress.say(f"trained {', '.join(names)}")


def _remove_others(run: Run) -> None:
    wanted = {training.name for chain in trainings(run.settings) for training in chain}
    for path in run.folder(STAGE.name).iterdir():
        if path.is_dir() and path.name not in wanted:
            shutil.rmtree(path)


def _train_chain(tasks: list[_Task]) -> list[str]:
    for task in tasks:
        artifacts.make(task.folder, task.key(), partial(_train, task))
    return [task.training.name for task in tasks]


def _train(task: _Task) -> None:
    folder, model, settings = task.folder, load_segnet(task.begin), task.run.settings
    seeds = task.training.seeds(settings.seed)
    if task.training.loss == START:  # the trunk's file has no head of the data's classes: draw one
        trunk_only, rng = model, np.random.default_rng(seeds)
        model = SegNet(len(settings.classes), settings.trunk.preset, rng=rng, backend=trunk_only.backend)
        model.network.assign(trunk_only.trunk.parameters)
        model.feature_scale = task.feature_scale
    try:
        records = train(
            model,
            task.store,
            task.images,
            task.options,
            seed=int(np.random.SeedSequence(seeds).generate_state(1)[0]),
            checkpoint=folder / "checkpoint.safetensors",
            progress=lambda step, loss: write_text(folder / "step.txt", str(step)),  # noqa: ARG005
        )
    except TrainingError as error:
        raise TrainingError(f"{task.training.name}: {error}") from error
    lines = ["step,loss", *(f"{record.step},{record.loss!r}" for record in records)]
    write_text(folder / "log.csv", "\n".join(lines) + "\n")
    write_text(folder / "step.txt", str(task.options.steps))  # here too, where it was lost after the last step
    save_segnet(folder / trunk.NETWORK, model)


def read_log(run: Run, training: Training) -> tuple[np.ndarray, np.ndarray]:
    """Read a training's log: the step of each line, and the mean loss since the line before."""
    log = network_path(run, training).with_name("log.csv")
    with reading(log):
        steps, losses = np.loadtxt(log, delimiter=",", skiprows=1, ndmin=2).T
        return steps, losses


@contextmanager
def count_steps(run: Run, folders: list[tuple[Path, int]]) -> Iterator[None]:
    """Show the progress of trainings in worker processes during a `with` block, read from step.txt in their folders.

    `folders` are pairs of a training's folder and its number of steps.
    """
    done = threading.Event()

    def watch(advance: Advance) -> None:
        shown = 0
        while not done.wait(1.0):
            steps = sum(_steps_taken(folder) for folder, _ in folders)
            advance(steps - shown)
            shown = steps

    with run.progress.count("training steps", sum(steps for _, steps in folders)) as advance:
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
