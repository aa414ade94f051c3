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

FOLDER = "proposing"
_CHOSEN = "chosen.json"


class Model(NamedTuple):
    """A fitted model of a proposer: its folder, and the fold left out when it was fitted (-1: none)."""

    folder: Path
    fold: int

    @property
    def path(self) -> Path:
        """The model's file."""
        return model_path(self.folder, self.fold)


class Proposer(Protocol):
    """A way of proposing.

    Attributes:
        name: its name, also that of the folder with its files.
        reads_segments: whether it reads the stage `segments`, which runs only for proposers that do.
    """

    name: str
    reads_segments: bool

    def map_views(self, settings: Settings) -> tuple[bool, ...]:
        """Return which of the trunk's maps it reads.

        () stands for none, (False,) for those of the images, (False, True) also for those of the mirror images of
        training images. The stage `maps` runs only if a proposer reads some.
        """

    def check(self, settings: Settings) -> None:
        """Check that the proposer can work under these settings, before a run folder is made.

        Raises:
            DatasetError, ConfigError: naming the file or setting.
        """

    def fit(self, run: Run) -> None:
        """Fit a model on all training images and one without each fold, and choose constants; keep what exists."""

    def propose(self, image: ImageOfRun, model: Model) -> list[Proposal]:
        """Return proposals for an image of the run, best first, using this model and the constants chosen."""

    def load(self, run: Run) -> Callable[[np.ndarray], list[Proposal]]:
        """Return a function that takes any image (H, W, 3) and returns proposals, made as the run made those of val."""


def model_of(run: Run, name: str, fold: int) -> Model:
    """Return the model of a proposer that was fitted without this fold; -1: fitted on all training images."""
    return Model(run.folder(FOLDER) / name, fold)


def say_what_is_not_learnt(run: Run, path: Path, what: str, learnt: np.ndarray, known: Iterable[int]) -> None:
    """Report the classes that a model was not fitted for, because they have too few examples."""
    if few := [k for k in known if k not in learnt]:
        run.progress.say(
            f"{path.stem}: too few {what} of {run.settings.classes.listed(few)}; they get a constant score"
        )


def write_chosen(run: Run, name: str, options: dict[str, Any], tried: Any) -> None:
    """Write the constants that a proposer chose, and the results of all that were tried."""
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
    """Choose the constants with the best oracle on images of fold 0, proposing with the model fitted without that fold.

    The run's setting `proposals.choice_by` says which IoU counts. The arguments are those of `held_out_trials`.
    """
    return choose(grid, held_out_trials(run, name, grid, propose, images=images), by=run.settings.proposals.choice_by)


def held_out_trials(
    run: Run, name: str, grid: Sequence[Any], propose: ProposeUnder, *, images: int, fold: int = 0
) -> list[np.ndarray]:
    """Try constants on images of a fold, proposing with the model fitted without it; return each image's trials.

    Args:
        run: the run.
        name: name of the proposer.
        grid: the constants to try.
        propose: an importable function that takes an image, a model and the grid, and returns the proposals under each
            entry of the grid.
        images: number of images to try on, evenly spaced in the fold; all of them if there are fewer.
        fold: number of the fold.

    Returns:
        For each image, `trial` of the proposals under each entry of the grid, stacked.
    """
    held_out = np.flatnonzero(folds(run) == fold)
    spread = np.linspace(0, len(held_out) - 1, min(images, len(held_out))).astype(int)
    members, model = images_of(run, "train", held_out[spread]), model_of(run, name, fold)
    tasks = [_Try(image, model, tuple(grid), propose) for image in members]
    return list(map_tasks(run, f"images under {len(grid)} settings of {name}", _try, tasks))


def _try(asked: _Try) -> np.ndarray:
    labels, num_classes = asked.image.labels(), len(asked.image.run.settings.classes)
    proposed = asked.propose(asked.image, asked.model, asked.grid)
    return np.stack([trial(labels, found, num_classes=num_classes) for found in proposed])
