"""What a run asks of a way of proposing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinysegrank.experiment import data
from tinysegrank.experiment.regions import ImageTask, image_tasks
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import Choice, Proposal, choose, trial

FOLDER = "proposing"
CHOSEN = "chosen.json"


class Model(NamedTuple):
    """A folder of fitted models that one fold did not reach (-1: fitted on all training images), for worker processes.

    The key tells states of the folder apart: a worker reads a model once for each key.
    """

    folder: Path
    fold: int
    key: str

    @property
    def path(self) -> Path:
        """The file of the model."""
        return data.model_path(self.folder, self.fold)


class Proposer(Protocol):
    """A way of proposing. Its files lie in a folder of its name."""

    name: str

    def check(self, settings: Settings) -> None:
        """Refuse what cannot work, before a run folder is made.

        Raises:
            DatasetError, ConfigError: naming the file or setting.
        """

    def fit(self, run: Run) -> None:
        """Fit models on all training images and without each fold, and choose constants; what is there is kept."""

    def propose(self, task: ImageTask, model: Model) -> list[Proposal]:
        """Propose for an image of the run, best first, by the models that did not see the fold and what was chosen."""

    def load(self, run: Run) -> Callable[[np.ndarray], list[Proposal]]:
        """A function from an image (H, W, 3) to its proposals, made as the run made those of val."""


def model_of(run: Run, name: str, fold: int) -> Model:
    """The models of a proposer without one fold."""
    return Model(run.folder(FOLDER) / name, fold, run.key(FOLDER))


ProposeUnder = Callable[[ImageTask, Model, tuple[Any, ...]], list[list[Proposal]]]


class _Try(NamedTuple):
    task: ImageTask
    model: Model
    grid: tuple[Any, ...]
    propose: ProposeUnder


def choose_on_held_out(run: Run, name: str, grid: Sequence[Any], propose: ProposeUnder, *, images: int) -> Choice[Any]:
    """Choose constants by the oracle on images of fold 0, under the models that did not see it.

    By which IoU is a setting of the run, `proposals.choice_by`. The arguments are those of `held_out_trials`.
    """
    return choose(grid, held_out_trials(run, name, grid, propose, images=images), by=run.settings.proposals.choice_by)


def held_out_trials(
    run: Run, name: str, grid: Sequence[Any], propose: ProposeUnder, *, images: int, fold: int = 0
) -> list[np.ndarray]:
    """Try constants on images of a fold, under the models that did not see it: a `trial` of each image and constant.

    Args:
        run: the run.
        name: of the proposer.
        grid: the constants to try.
        propose: an importable function from an image, a model and the grid to the proposals under each of its entries.
        images: how many images of the fold to try on, spread over it; all where there are fewer.
        fold: its number.
    """
    held_out = np.flatnonzero(data.folds(run) == fold)
    count = min(images, len(held_out))
    indices = [int(i) for i in held_out[np.linspace(0, len(held_out) - 1, count).astype(int)]]
    model = model_of(run, name, fold)
    tasks = [_Try(task, model, tuple(grid), propose) for task in image_tasks(run, "train", indices)]
    trials = []
    with run.progress.count(f"images under {len(grid)} settings of {name}", len(tasks)) as advance:
        for of_image in parallel_map(_try, tasks, jobs=run.jobs):
            trials.append(of_image)
            advance(1)
    return trials


def _try(asked: _Try) -> np.ndarray:
    labels = data.split_in_worker(asked.task.settings, asked.task.which)[asked.task.number].labels
    return np.stack([trial(labels, found) for found in asked.propose(asked.task, asked.model, asked.grid)])
