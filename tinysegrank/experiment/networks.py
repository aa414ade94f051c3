"""The trainings of the run, side by side where they do not wait for each other, and the coarse maps they give."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment import data
from tinysegrank.experiment.features import NETWORK, crop_store, read_scale, store
from tinysegrank.experiment.progress import Advance
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import LOSSES, Settings
from tinysegrank.files import atomic_write, write_text
from tinysegrank.parallel import one_blas_thread, parallel_map
from tinysegrank.segnet import (
    FeatureStore,
    SegNet,
    TrainingOptions,
    load_segnet,
    predict_store,
    save_segnet,
    train,
)

START = "start"


class Training(NamedTuple):
    """One training of the head: `fold` is the fold left out (-1: none), `loss` START or one of LOSSES."""

    fold: int
    loss: str

    @property
    def name(self) -> str:
        """Also the name of its folder."""
        return f"{'all' if self.fold < 0 else f'without-fold-{self.fold}'}-{self.loss}"


def trainings(settings: Settings) -> list[list[Training]]:
    """The trainings in chains: a cross-entropy start and what continues from it; chains do not wait for each other.

    Every loss is trained on all training images, for the results on val; with a fold left out, only the ranker's.
    """
    everything = [Training(-1, loss) for loss in (START, *LOSSES)]
    folds = range(settings.folds)
    return [everything, *([Training(fold, START), Training(fold, settings.ranking.loss)] for fold in folds)]


class _Task(NamedTuple):
    run_path: Path
    settings: Settings
    training: Training
    store: FeatureStore
    images: np.ndarray
    options: TrainingOptions
    feature_scale: float
    features_key: str
    begin: Path

    @property
    def folder(self) -> Path:
        """Where its network, log and checkpoint go."""
        return self.run_path / "training" / self.training.name

    def seeds(self) -> list[int]:
        """A seed of its own for every training."""
        return [self.settings.seed, self.training.fold + 1, (START, *LOSSES).index(self.training.loss)]

    def made_from(self) -> str:
        """A digest of everything that its result depends on."""
        digest = hashlib.sha256(self.begin.read_bytes() + self.images.astype(np.int64).tobytes())
        digest.update(repr((self.options, self.seeds(), self.feature_scale, self.features_key)).encode())
        return digest.hexdigest()


def train_networks(run: Run) -> None:
    """Train every network that is not there yet, the chains side by side."""
    scale, key = read_scale(run), run.key("features")
    fold_of, folder, schedule = data.folds(run), run.folder("training"), run.settings.training
    chains = []
    for chain in trainings(run.settings):
        tasks = []
        for training in chain:
            images = np.flatnonzero(fold_of != training.fold)
            options = schedule.start if training.loss == START else schedule.continued(training.loss)
            before = run.folder("trunk") if training.loss == START else folder / Training(training.fold, START).name
            features, begin = store(run, "train"), before / NETWORK
            tasks.append(_Task(run.path, run.settings, training, features, images, options, scale, key, begin))
        chains.append(tasks)
    with count_steps(run, [(task.folder, task.options.steps) for tasks in chains for task in tasks]):
        for names in parallel_map(_train_chain, chains, jobs=run.jobs):
            run.progress.say(f"trained {', '.join(names)}")


def _train_chain(tasks: list[_Task]) -> list[str]:
    return [_train_one(task) for task in tasks]


def _train_one(task: _Task) -> str:
    folder, made_from = task.folder, task.made_from()
    note = folder / "made_from.txt"
    if not note.is_file() or note.read_text() != made_from:
        shutil.rmtree(folder, ignore_errors=True)
        write_text(note, made_from)
    if (folder / NETWORK).is_file():
        return task.training.name
    model = load_segnet(task.begin)
    if task.training.loss == START:  # the trunk's file has no trained head: draw one
        fresh = SegNet(
            preset=task.settings.trunk.preset, rng=np.random.default_rng(task.seeds()), backend=model.backend
        )
        model.network.assign(fresh.trainable)
        model.feature_scale = task.feature_scale
    records = train(
        model,
        task.store,
        task.images,
        task.options,
        seed=int(np.random.SeedSequence(task.seeds()).generate_state(1)[0]),
        checkpoint=folder / "checkpoint.safetensors",
        progress=lambda step, loss: write_text(folder / "step.txt", str(step)),  # noqa: ARG005
    )
    lines = ["step,loss", *(f"{record.step},{record.loss!r}" for record in records)]
    write_text(folder / "log.csv", "\n".join(lines) + "\n")
    save_segnet(folder / NETWORK, model)
    return task.training.name


@contextmanager
def count_steps(run: Run, folders: list[tuple[Path, int]]) -> Iterator[None]:
    """Show the steps that worker processes note in their folders."""
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


def predict_coarse(run: Run) -> None:
    """Write the coarse maps: of val by every network, of the training images by the one that did not see them."""
    folder = run.folder("coarse")
    for loss in (START, *LOSSES):
        _write_coarse(folder / f"val-{loss}.npy", _predict(run, Training(-1, loss), "val", None))
    fold_of, out = data.folds(run), []
    for fold in range(run.settings.folds):
        images = np.flatnonzero(fold_of == fold)
        out.append((images, _predict(run, Training(fold, run.settings.ranking.loss), "train", images)))
    coarse = np.empty((len(fold_of), *out[0][1].shape[1:]), np.float32)
    for images, part in out:
        coarse[images] = part
    _write_coarse(folder / "train.npy", coarse)


def read_coarse(run: Run, which: str) -> np.ndarray:
    """Coarse maps (N, 13, 13, K): "train" (out of fold), or "val-" and a loss."""
    coarse: np.ndarray = np.load(run.folder("coarse") / f"{which}.npy", mmap_mode="r", allow_pickle=False)
    return coarse


def ranked_by(settings: Settings, which: str) -> str:
    """The name of the coarse maps that proposals of a split are described by."""
    return "train" if which == "train" else f"val-{settings.ranking.loss}"


def _predict(run: Run, training: Training, which: str, images: np.ndarray | None) -> np.ndarray:
    model = load_segnet(run.folder("training") / training.name / NETWORK)
    whole, crops, mirrored = store(run, which), crop_store(run, which), run.settings.coarse.mirrored
    return one_blas_thread(lambda: predict_store(model, whole, images, mirrored=mirrored, crops=crops))


def _write_coarse(path: Path, coarse: np.ndarray) -> None:
    with atomic_write(path) as stream:
        np.save(stream, coarse, allow_pickle=False)
