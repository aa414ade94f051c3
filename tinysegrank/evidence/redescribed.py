"""The proposals of a run described anew for other networks: SegNet's features and Eq. 17; the other blocks stay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tinysegrank.experiment.images import SPLITS, ImageOfRun, images_of
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import described, proposals
from tinysegrank.experiment.stages.coarse import ranked_by, read_coarse
from tinysegrank.experiment.tasks import do_missing
from tinysegrank.files import read_arrays
from tinysegrank.ranking import FeatureTable
from tinysegrank.ranking.features.segnet import segnet_features
from tinysegrank.voc import soft_targets_many

BLOCK = "segnet"


@dataclass(frozen=True)
class DerivedRun(Run):
    """A run that reads the stages it does not make from another.

    Attributes:
        base: the run to read from.
        made: names of the stages made anew.
    """

    base: Run
    made: frozenset[str]

    @property
    def fold_seed(self) -> int:
        """As the base: its out-of-fold results are read."""
        return self.base.fold_seed

    def folder(self, stage: str) -> Path:
        """Its own for a stage that it makes, the base's for any other."""
        return self.path / stage if stage in self.made else self.base.folder(stage)


def describe_again(run: Run) -> None:
    """Write the tables of both splits as the base has them, but for the block of features of this run's networks."""
    assert isinstance(run, DerivedRun)  # noqa: S101  # only derived runs have this stage
    described.write_columns(run, described.read_columns(run.base))
    for which in SPLITS:
        do_missing(run, f"{which} images", _describe, images_of(run, which), described.paths)


def _describe(image: ImageOfRun) -> None:
    run = image.run
    assert isinstance(run, DerivedRun)  # noqa: S101
    soft, _ = soft_targets_many(proposals.store(run, image.which).read(image.name)[0])  # (M, 13, 13, K)
    old_table, old_others = described.paths(replace(image, run=run.base))
    coarse = read_coarse(run, ranked_by(run.settings, image.which))[image.number]
    held = FeatureTable.load_without_columns(old_table, described.read_columns(run.base))
    features = segnet_features(coarse, soft, eps=run.settings.ranking.eps)
    others = {"confusions": read_arrays(old_others)["confusions"], **described.distances_of(image, soft)}
    described.write(image, replace(held, blocks={**held.blocks, BLOCK: features}), others)
