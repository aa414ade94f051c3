"""A run of another seed on a base run's images, features and proposals, with SegNet's head and ranker fitted anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.images import SPLITS, ImageOfRun, images_of
from tinysegrank.experiment.protocol import STAGES
from tinysegrank.experiment.runner import Run, Stage, execute, stage_of
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import described, evaluation, proposals, training
from tinysegrank.experiment.stages.coarse import read_ranked
from tinysegrank.experiment.tasks import do_missing
from tinysegrank.files import read_arrays
from tinysegrank.ranking import FeatureTable
from tinysegrank.ranking.features.segnet import segnet_features
from tinysegrank.voc import soft_targets_many

_BLOCK = "segnet"


@dataclass(frozen=True)
class DerivedRun(Run):
    """A run that makes some stages itself and reads all others from a base run.

    Attributes:
        base: the run to read from.
        made: names of the stages that this run makes itself.
    """

    base: Run
    made: frozenset[str]

    @property
    def fold_seed(self) -> int:
        """Seed of the base's folds: they are this run's too, as it reads the base's out-of-fold results."""
        return self.base.fold_seed

    def folder(self, stage: str) -> Path:
        """Return the folder of a stage: in this run for a stage that it makes, in the base for any other."""
        return self.path / stage if stage in self.made else self.base.folder(stage)


def _stages_made_anew() -> list[Stage]:
    """Return the stages that a derived run makes: the trainings and all that depends on them, up to the evaluation."""
    made = [training.STAGE]
    for stage in STAGES[: STAGES.index(evaluation.STAGE) + 1]:
        if {earlier.name for earlier in made} & set(map(stage_of, stage.needs)):
            made.append(stage)
    return made


def stages_read(settings: Settings) -> list[str]:
    """Return the sorted names of the stages that a derived run reads from its base and does not make itself.

    Only stages that the settings use are among them.
    """
    stages = _stages_made_anew()
    made = {stage.name for stage in stages}
    used = {stage.name for stage in STAGES if stage.used(settings)}
    return sorted({stage_of(need) for stage in stages for need in stage.needed(settings)} & used - made)


def run_seed(base: Run, path: Path, seed: int, lock: FolderLock) -> DerivedRun:
    """Bring the derived run of a seed up to date in the folder `path`, and return it; `lock` is the base run's."""
    stages = _stages_made_anew()
    made = frozenset(stage.name for stage in stages)
    run = DerivedRun(path, replace(base.settings, seed=seed), base.jobs, base.progress, base, made)
    execute(run, [_reading_base(base, stage, made) for stage in stages], lock)
    return run


def _reading_base(base: Run, stage: Stage, made: frozenset[str]) -> Stage:
    """Return a copy of a stage that reads the stages not in `made` from the base, and is stale when these change."""
    read = {need: base.content(need) for need in stage.needed(base.settings) if stage_of(need) not in made}
    own = tuple(need for need in stage.needed(base.settings) if stage_of(need) in made)
    work = stage.work
    if stage is described.STAGE:
        work, read[stage.name] = _describe_again, base.content(stage.name)
    return replace(stage, work=work, needs=own, also=lambda settings: (), outside=lambda settings: read)  # noqa: ARG005


def _describe_again(run: Run) -> None:
    """Write copies of the base's feature tables, with SegNet features and Eq. 17 distances by this run's networks."""
    assert isinstance(run, DerivedRun)  # noqa: S101  # only derived runs have this stage
    described.write_columns(run, described.read_columns(run.base))
    for which in SPLITS:
        do_missing(run, f"{which} images", _describe, images_of(run, which), described.paths)


def _describe(image: ImageOfRun) -> None:
    run = image.run
    assert isinstance(run, DerivedRun)  # noqa: S101
    labels, _ = proposals.store(run, image.which).read(image.name)
    soft, _ = soft_targets_many(labels, num_classes=len(run.settings.classes))  # (M, 13, 13, K)
    old_table, old_others = described.paths(replace(image, run=run.base))
    coarse = read_ranked(image)
    held = FeatureTable.load(old_table, described.read_columns(run.base))
    features = segnet_features(coarse, soft, eps=run.settings.ranking.eps)
    others = {"confusions": read_arrays(old_others)["confusions"], **described.distances_of(image, soft)}
    described.write(image, replace(held, blocks={**held.blocks, _BLOCK: features}), others)
