"""The proposers' models, and the constants that they choose on training images."""

from __future__ import annotations

from tinysegrank.experiment.images import IMAGES
from tinysegrank.experiment.proposers import proposers_of
from tinysegrank.experiment.runner import Run, Stage


def make(run: Run) -> None:
    """Fit each proposer: models on all training images and without each fold, and constants chosen on fold 0."""
    for proposer in proposers_of(run.settings):
        proposer.fit(run)


STAGE = Stage(
    "proposing",
    make,
    (IMAGES[0], "superpixels/train", "maps/train", "segments/train", "pooled/train"),
    lambda s: [s.proposals, s.folds, s.seed],
    used=lambda s: s.proposals.engine != "folder",
)
