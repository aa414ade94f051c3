"""What a run asks of a way of proposing, and what the ways have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinysegrank.experiment.images import ImageOfRun, folds, images_of, model_path
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.tasks import map_tasks
from tinysegrank.files import read_json, write_json
from tinysegrank.proposals import Choice, Proposal, choose, trial
from tinysegrank.voc import CLASS_NAMES

FOLDER = "proposing"
_CHOSEN = "chosen.json"


class Model(NamedTuple):
    """A folder of fitted models, and the fold that one of them did not see (-1: it saw all training images)."""

    folder: Path
    fold: int

    @property
    def path(self) -> Path:
        """The file of the model."""
        return model_path(self.folder, self.fold)


class Proposer(Protocol):
    """A way of proposing.

    Attributes:
        name: of the folder with its files.
        reads_segments: it reads the stage `segments`, which is made for those that do.
    """

    name: str
    reads_segments: bool

    def check(self, settings: Settings) -> None:
        """Refuse what cannot work, before a run folder is made.

        Raises:
            DatasetError, ConfigError: naming the file or setting.
        """

    def fit(self, run: Run) -> None:
        """Fit models on all training images and without each fold, and choose constants; keep what is there."""

    def propose(self, image: ImageOfRun, model: Model) -> list[Proposal]:
        """Propose for an image of the run, best first, by the models that did not see the fold and what was chosen."""

    def load(self, run: Run) -> Callable[[np.ndarray], list[Proposal]]:
        """Return a function from any image (H, W, 3) to its proposals, made as the run made those of val."""


def model_of(run: Run, name: str, fold: int) -> Model:
    """Return the models of a proposer without one fold."""
    return Model(run.folder(FOLDER) / name, fold)


def say_what_is_not_learnt(run: Run, path: Path, what: str, learnt: np.ndarray, known: Iterable[int]) -> None:
    """Say which classes a model had too few examples of."""
    if few := [CLASS_NAMES[k] for k in known if k not in learnt]:
        run.progress.say(f"{path.stem}: too few {what} of {', '.join(few)}; they get a constant score")


def write_chosen(run: Run, name: str, options: dict[str, Any], tried: Any) -> None:
    """Write the constants that a proposer chose, and what came of each that was tried."""
    write_json(run.folder(FOLDER) / name / _CHOSEN, {"options": options, "tried": tried})


def is_chosen(run: Run, name: str) -> bool:
    """Return whether a proposer has chosen its constants."""
    return (run.folder(FOLDER) / name / _CHOSEN).is_file()


def read_chosen(folder: Path) -> dict[str, Any]:
    """Read the constants that a proposer chose from its folder."""
    options: dict[str, Any] = read_json(folder / _CHOSEN)["options"]
    return options


ProposeUnder = Callable[[ImageOfRun, Model, tuple[Any, ...]], list[list[Proposal]]]


class _Try(NamedTuple):
    image: ImageOfRun
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
    held_out = np.flatnonzero(folds(run) == fold)
    spread = np.linspace(0, len(held_out) - 1, min(images, len(held_out))).astype(int)
    members, model = images_of(run, "train", held_out[spread]), model_of(run, name, fold)
    tasks = [_Try(image, model, tuple(grid), propose) for image in members]
    return list(map_tasks(run, f"images under {len(grid)} settings of {name}", _try, tasks))


def _try(asked: _Try) -> np.ndarray:
    labels = asked.image.labels()
    return np.stack([trial(labels, found) for found in asked.propose(asked.image, asked.model, asked.grid)])
