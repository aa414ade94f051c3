"""Base class of the proposers by DivMBest: models fitted without each fold, and constants chosen on fold 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.config import from_dict, to_dict
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import ImageOfRun, folds, images_of, model_path
from tinysegrank.experiment.proposers.protocol import FOLDER, Model, model_of
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps
from tinysegrank.experiment.tasks import map_tasks
from tinysegrank.files import read_json, reading, write_json
from tinysegrank.proposals import Choice, Engine, Proposal, choose, divmbest, trial

_CHOSEN = "chosen.json"


class DivMBestProposer:
    """Base class of the proposers that run DivMBest, on one engine per image.

    A subclass fits the models, chooses the constants and makes the engines.

    Attributes:
        name: see `Proposer`.
        kind: class of the models, which has `load` and, once fitted, `classes_`.
        constants: dataclass of the constants, with at least `lam` and `count`.
        examples: what a model learns from, in words.
        first: number of the first class that a model learns; 1 leaves out the background.
    """

    name: str
    kind: Any
    constants: type[Any]
    examples: str
    first: int

    def fit_models(self, run: Run, paths: Sequence[Path]) -> None:
        """Fit and write those models that don't exist: one on all training images, then one without each fold."""
        raise NotImplementedError

    def choose(self, run: Run) -> None:
        """Choose the constants by `try_out`, and `keep` them."""
        raise NotImplementedError

    def engines(self, image: ImageOfRun, model: Any, grid: Sequence[Any]) -> Iterable[Engine[Any]]:
        """Return the engine of an image of the run under each entry of a grid of constants."""
        raise NotImplementedError

    def load_engine(self, run: Run, model: Any) -> Callable[[maps.Photograph, Any], Engine[Any]]:
        """Return a function that takes any photograph and constants, and returns the engine."""
        raise NotImplementedError

    def check(self, settings: Settings) -> None:
        """See `Proposer.check`."""
        maps.check(settings)

    def fit(self, run: Run) -> None:
        """See `Proposer.fit`; the constants are chosen on fold 0."""
        folder, classes = run.folder(FOLDER) / self.name, run.settings.classes
        paths = [model_path(folder, fold) for fold in (-1, *range(run.settings.folds))]
        self.fit_models(run, paths)
        for path in paths:
            learnt = self.kind.load(path).classes_
            if few := [k for k in range(self.first, len(classes)) if k not in learnt]:
                run.progress.say(
                    f"{path.stem}: too few {self.examples} of {classes.listed(few)}; they get a constant score"
                )
        if not (folder / _CHOSEN).is_file():
            self.choose(run)

    def propose(self, image: ImageOfRun, model: Model) -> list[Proposal]:
        """See `Proposer.propose`."""
        return self.propose_under(image, model, [self.chosen(model.folder)])[0]

    def propose_under(self, image: ImageOfRun, model: Model, grid: Sequence[Any]) -> list[list[Proposal]]:
        """Return the proposals for an image of the run under each entry of a grid of constants, one list per entry."""
        engines = self.engines(image, load_once(self.kind.load, model.path), grid)
        return [divmbest(engine, asked.lam, asked.count) for engine, asked in zip(engines, grid, strict=True)]

    def load(self, run: Run) -> Callable[[maps.Photograph], list[Proposal]]:
        """See `Proposer.load`."""
        model = model_of(run, self.name, -1)
        chosen, engine = self.chosen(model.folder), self.load_engine(run, self.kind.load(model.path))
        return lambda photograph: divmbest(engine(photograph, chosen), chosen.lam, chosen.count)

    def chosen(self, folder: Path) -> Any:
        """Read the constants that were chosen from the proposer's folder."""
        with reading(folder / _CHOSEN):
            return from_dict(self.constants, read_json(folder / _CHOSEN)["options"])

    def try_out(self, run: Run, grid: Sequence[Any], *, images: int) -> Choice[Any]:
        """Return the constants with the best oracle on images of fold 0, proposing with the model fitted without it.

        Args:
            run: the run.
            grid: the constants to try.
            images: number of images to try on, evenly spaced in the fold; all of them if there are fewer.
        """
        held_out = np.flatnonzero(folds(run) == 0)
        spread = np.linspace(0, len(held_out) - 1, min(images, len(held_out))).astype(int)
        model = model_of(run, self.name, 0)
        tasks = [_Try(self, image, model, grid) for image in images_of(run, "train", held_out[spread])]
        return choose(
            grid, np.stack(list(map_tasks(run, f"images under {len(grid)} settings of {self.name}", _try, tasks)))
        )

    def keep(self, run: Run, choice: Choice[Any], named: str, tried: Any) -> None:
        """Write the constants chosen and the results of all that were tried, and report their accuracy."""
        one_best = choice.one_best[choice.oracle.argmax()]
        run.progress.say(
            f"{named}, lambda {choice.best.lam:g}: oracle {choice.oracle.max():.1%}, 1-best {one_best:.1%} mean "
            "image IoU on held-out training images"
        )
        write_json(run.folder(FOLDER) / self.name / _CHOSEN, {"options": to_dict(choice.best), "tried": tried})


class _Try(NamedTuple):
    proposer: DivMBestProposer
    image: ImageOfRun
    model: Model
    grid: Sequence[Any]


def _try(asked: _Try) -> np.ndarray:
    labels, num_classes = asked.image.labels(), len(asked.image.run.settings.classes)
    found = asked.proposer.propose_under(asked.image, asked.model, asked.grid)
    return np.stack([trial(labels, proposals, num_classes=num_classes) for proposals in found])
