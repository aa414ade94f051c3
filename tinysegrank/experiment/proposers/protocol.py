"""The interface between a run and its ways of proposing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from tinysegrank.experiment.images import ImageOfRun, model_path
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages.maps import Photograph
from tinysegrank.proposals import Proposal

FOLDER = "proposing"


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

    def load(self, run: Run) -> Callable[[Photograph], list[Proposal]]:
        """Return a function that takes any photograph and returns proposals, made as the run made those of val."""


def model_of(run: Run, name: str, fold: int) -> Model:
    """Return the model of a proposer that was fitted without this fold; -1: fitted on all training images."""
    return Model(run.folder(FOLDER) / name, fold)
