"""The interface between a run and its ways of proposing."""

from __future__ import annotations

from typing import Protocol

from tinysegrank.experiment.photograph import Photograph
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.proposals import Proposal

FOLDER = "proposing"


class Proposer(Protocol):
    """A way of proposing.

    Attributes:
        name: its name, also that of its folder in the run's folder `proposing`.
        reads_segments: whether it reads the stage `segments`, which runs only for proposers that do.
    """

    name: str
    reads_segments: bool

    def map_views(self, settings: Settings) -> tuple[bool, ...]:
        """Return the views whose trunk maps the proposer reads: False for an image, True for its mirror image.

        () stands for none; only training images have mirror images. The stage `maps` runs if a proposer reads some.
        """

    def check(self, settings: Settings) -> None:
        """Check that the proposer can work under these settings, before a run folder is made.

        Raises:
            DatasetError, ConfigError: a file or setting is wrong; the message names it.
        """

    def fit(self, run: Run) -> None:
        """Fit a model on all training images and one without each fold, and choose constants; keep files that exist."""

    def propose(self, photograph: Photograph, fold: int) -> list[Proposal]:
        """Return a photograph's proposals, best first, by the model fitted without `fold` (-1: on all images)."""
