"""Base class of the proposers by DivMBest: models fitted without each fold, and constants chosen on fold 0."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

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
    """Base class of the proposers that run DivMBest on an engine for each image.

    A subclass fits the models, chooses the constants and makes the engines.

    Attributes:
        name: name of the proposer and of its folder.
        kind: class of the models, a `Fitted` with `classes_`, the classes learnt.
        models: what the models are called in messages.
        constants: dataclass of the constants, with at least `lam` and `count`.
        examples: what a model's examples are called in messages.
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
        """Write the examples of all training images to `files`; return about how many bytes one fit to them holds."""

    @abstractmethod
    def fit_model(self, settings: Settings, fold: int, used: np.ndarray, files: Sequence[Path]) -> Fitted:
        """Fit a model to the examples in `files` of the training images for which `used` (images,) is True.

        `fold`, the fold left out (-1: none), may seed the fit.
        """

    @abstractmethod
    def choose(self, run: Run) -> None:
        """Choose the constants by `try_out`, and write them by `keep`."""

    @abstractmethod
    def engines(self, photograph: Photograph, model: Any, grid: Sequence[Any]) -> Iterable[Engine[Any]]:
        """Return a photograph's engines, one for each entry of a grid of constants."""

    def check(self, settings: Settings) -> None:
        """Check that the trunk's maps, if they are read, are fine enough; raise ConfigError if not."""
        maps.check(settings)

    def fit(self, run: Run) -> None:
        """Fit the models that are missing, then choose the constants, unless they are stored."""
        folder, fold_of, classes = run.folder(FOLDER) / self.name, folds(run), run.settings.classes
        files = [folder / name for name in self.files]
        paths = {fold: model_path(folder, fold) for fold in (-1, *range(run.settings.folds))}
        if not all(path.is_file() for path in paths.values()):
            size = self.gather(run, files)
            fit = partial(self._fit, run.settings, fold_of, files, folder)
            do_missing(run, self.models, fit, list(paths), lambda fold: [paths[fold]], size=size)
            for file in files:
                file.unlink()
        for path in paths.values():
            learnt = self.kind.load(path).classes_
            if few := [k for k in range(self.first, len(classes)) if k not in learnt]:
                run.progress.say(
                    f"{path.stem}: too few {self.examples} of {classes.listed(few)}; they get a constant score"
                )
        if not self._chosen_file(run).is_file():
            self.choose(run)

    def _fit(self, settings: Settings, fold_of: np.ndarray, files: Sequence[Path], folder: Path, fold: int) -> None:
        self.fit_model(settings, fold, fold_of != fold, files).save(model_path(folder, fold))

    def propose(self, photograph: Photograph, fold: int) -> list[Proposal]:
        """Return a photograph's proposals, best first, by the model fitted without `fold` (-1: on all images)."""
        return self.propose_under(photograph, fold, [self.chosen(photograph.run)])[0]

    def propose_under(self, photograph: Photograph, fold: int, grid: Sequence[Any]) -> list[list[Proposal]]:
        """Return a photograph's proposals, best first, under each entry of a grid of constants: a list per entry."""
        model = load_once(self.kind.load, model_path(photograph.run.folder(FOLDER) / self.name, fold))
        engines = self.engines(photograph, model, grid)
        return [divmbest(engine, asked.lam, asked.count) for engine, asked in zip(engines, grid, strict=True)]

    def chosen(self, run: Run) -> Any:
        """Read the constants that were chosen."""
        file = self._chosen_file(run)
        with reading(file):
            return from_dict(self.constants, read_json(file)["options"])

    def try_out(self, run: Run, grid: Sequence[Any], *, images: int) -> Choice[Any]:
        """Choose the constants with the best oracle on images of fold 0, by the model fitted without that fold.

        Args:
            grid: the constants to try.
            images: number of images to try on, evenly spaced in the fold; all of them if there are fewer.
        """
        held_out = np.flatnonzero(folds(run) == 0)
        spread = np.linspace(0, len(held_out) - 1, min(images, len(held_out))).astype(int)
        what, tasks = f"images under {len(grid)} settings of {self.name}", images_of(run, "train", held_out[spread])
        return choose(grid, np.stack(list(map_tasks(run, what, partial(self._try, grid), tasks))))

    def _try(self, grid: Sequence[Any], image: ImageOfRun) -> np.ndarray:
        """Return the IoU of an image's best and first proposal under each entry of a grid, (G, 2)."""
        labels, num_classes = image.labels(), len(image.run.settings.classes)
        found = self.propose_under(PhotographOfRun(image), 0, grid)
        return np.stack([trial(labels, proposals, num_classes=num_classes) for proposals in found])

    def keep(self, run: Run, choice: Choice[Any], named: str, tried: Any) -> None:
        """Write the chosen constants and `tried`, the results of all; report the accuracy of the chosen, as `named`."""
        one_best = choice.one_best[choice.oracle.argmax()]
        run.progress.say(
            f"{named}, lambda {choice.best.lam:g}: oracle {choice.oracle.max():.1%}, 1-best {one_best:.1%} mean "
            "image IoU on held-out training images"
        )
        write_json(self._chosen_file(run), {"options": to_dict(choice.best), "tried": tried})

    def _chosen_file(self, run: Run) -> Path:
        return run.folder(FOLDER) / self.name / "chosen.json"
