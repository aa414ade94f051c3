"""Base class of the proposers by DivMBest: models fitted without each fold, and constants chosen on fold 0."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.config import from_dict, to_dict
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import ImageOfRun, folds, images_of, model_path
from tinysegrank.experiment.photograph import Photograph, PhotographOfRun
from tinysegrank.experiment.proposers.protocol import FOLDER
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps
from tinysegrank.experiment.tasks import do_missing, map_tasks
from tinysegrank.files import read_json, reading, write_json
from tinysegrank.fitted import Fitted
from tinysegrank.proposals import Choice, Engine, Proposal, choose, divmbest, trial


class DivMBestProposer(ABC):
    """Base class of the proposers that run DivMBest, on one engine per image.

    A subclass fits the models, chooses the constants and makes the engines.

    Attributes:
        name: see `Proposer`.
        kind: class of the models, which has `load` and, once fitted, `classes_`.
        models: what the models are, in words.
        constants: dataclass of the constants, with at least `lam` and `count`.
        examples: what a model learns from, in words.
        files: names of the files of examples, which are deleted after the fits.
        first: number of the first class that a model learns; 1 leaves out the background.
    """

    name: str
    kind: Any
    models: str
    constants: type[Any]
    examples: str
    files: tuple[str, ...]
    first: int

    @abstractmethod
    def gather(self, run: Run, files: Sequence[Path]) -> int:
        """Write the examples of all training images; return the bytes that one fit to them holds."""

    @abstractmethod
    def fit_model(self, settings: Settings, fold: int, used: np.ndarray, files: Sequence[Path]) -> Fitted:
        """Return a model fitted to the examples of some training images: `used` (images,) is True for them."""

    @abstractmethod
    def choose(self, run: Run) -> None:
        """Choose the constants by `try_out`, and `keep` them."""

    @abstractmethod
    def engines(self, photograph: Photograph, model: Any, grid: Sequence[Any]) -> Iterable[Engine[Any]]:
        """Return the engine of a photograph under each entry of a grid of constants."""

    def check(self, settings: Settings) -> None:
        """See `Proposer.check`."""
        maps.check(settings)

    def fit(self, run: Run) -> None:
        """See `Proposer.fit`; the constants are chosen on fold 0."""
        folder, fold_of, classes = run.folder(FOLDER) / self.name, folds(run), run.settings.classes
        files = [folder / name for name in self.files]
        fits = [
            _Fit(self, run.settings, fold, fold_of != fold, files, model_path(folder, fold))
            for fold in (-1, *range(run.settings.folds))
        ]
        if not all(one.path.is_file() for one in fits):
            size = self.gather(run, files)
            do_missing(run, self.models, _fit, fits, lambda one: [one.path], size=size)
            for file in files:
                file.unlink()
        for one in fits:
            learnt = self.kind.load(one.path).classes_
            if few := [k for k in range(self.first, len(classes)) if k not in learnt]:
                run.progress.say(
                    f"{one.path.stem}: too few {self.examples} of {classes.listed(few)}; they get a constant score"
                )
        if not self._chosen_file(run).is_file():
            self.choose(run)

    def propose(self, photograph: Photograph, fold: int) -> list[Proposal]:
        """See `Proposer.propose`."""
        return self.propose_under(photograph, fold, [self.chosen(photograph.run)])[0]

    def propose_under(self, photograph: Photograph, fold: int, grid: Sequence[Any]) -> list[list[Proposal]]:
        """Return the proposals under each entry of a grid of constants, one list per entry."""
        model = load_once(self.kind.load, model_path(photograph.run.folder(FOLDER) / self.name, fold))
        engines = self.engines(photograph, model, grid)
        return [divmbest(engine, asked.lam, asked.count) for engine, asked in zip(engines, grid, strict=True)]

    def chosen(self, run: Run) -> Any:
        """Read the constants that were chosen."""
        file = self._chosen_file(run)
        with reading(file):
            return from_dict(self.constants, read_json(file)["options"])

    def try_out(self, run: Run, grid: Sequence[Any], *, images: int) -> Choice[Any]:
        """Return the constants with the best oracle on images of fold 0, proposing with the model fitted without it.

        Args:
            run: the run.
            grid: the constants to try.
            images: number of images to try on, evenly spaced in the fold; all of them if there are fewer.
        """
        held_out = np.flatnonzero(folds(run) == 0)
        spread = np.linspace(0, len(held_out) - 1, min(images, len(held_out))).astype(int)
        tasks = [_Try(self, image, grid) for image in images_of(run, "train", held_out[spread])]
        trials = map_tasks(run, f"images under {len(grid)} settings of {self.name}", _try, tasks)
        return choose(grid, np.stack(list(trials)))

    def keep(self, run: Run, choice: Choice[Any], named: str, tried: Any) -> None:
        """Write the constants chosen and the results of all that were tried, and report their accuracy."""
        one_best = choice.one_best[choice.oracle.argmax()]
        run.progress.say(
            f"{named}, lambda {choice.best.lam:g}: oracle {choice.oracle.max():.1%}, 1-best {one_best:.1%} mean "
            "image IoU on held-out training images"
        )
        write_json(self._chosen_file(run), {"options": to_dict(choice.best), "tried": tried})

    def _chosen_file(self, run: Run) -> Path:
        return run.folder(FOLDER) / self.name / "chosen.json"


class _Fit(NamedTuple):
    proposer: DivMBestProposer
    settings: Settings
    fold: int
    used: np.ndarray  # (images,) bool
    files: Sequence[Path]
    path: Path


def _fit(asked: _Fit) -> None:
    asked.proposer.fit_model(asked.settings, asked.fold, asked.used, asked.files).save(asked.path)


class _Try(NamedTuple):
    proposer: DivMBestProposer
    image: ImageOfRun
    grid: Sequence[Any]


def _try(asked: _Try) -> np.ndarray:
    labels, num_classes = asked.image.labels(), len(asked.image.run.settings.classes)
    found = asked.proposer.propose_under(PhotographOfRun(asked.image), 0, asked.grid)
    return np.stack([trial(labels, proposals, num_classes=num_classes) for proposals in found])
