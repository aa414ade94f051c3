"""A run of another seed on the same images, features and proposals: only SegNet and the ranker are made anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tinysegrank.evidence.redescribed import DerivedRun, describe_again
from tinysegrank.experiment.artifacts import FolderLock
from tinysegrank.experiment.protocol import STAGES
from tinysegrank.experiment.runner import Run, Stage, execute, stage_of
from tinysegrank.experiment.settings import Settings

FIRST, LAST = "training", "evaluation"
DESCRIBED = "described"
FIXED = ("proposals", "proposing")  # even where SegNet has a part in them


def stages_after_training() -> list[Stage]:
    """The stages that depend on SegNet's trainings, in order, up to the evaluation; proposals stay as they are."""
    made: list[Stage] = []
    for stage in STAGES:
        names = {earlier.name for earlier in made}
        if stage.name == FIRST or (names & set(map(stage_of, stage.needs)) and stage.name not in FIXED):
            made.append(stage)
        if stage.name == LAST:
            break
    return made


def read_from_base(settings: Settings) -> list[str]:
    """The stages that the stages made anew read, and that lie in the base."""
    stages = stages_after_training()
    made = {stage.name for stage in stages}
    used = {stage.name for stage in STAGES if stage.used(settings)}
    return sorted({name for stage in stages for name in stage.stages_needed(settings)} & used - made)


def run_seed(base: Run, path: Path, seed: int) -> DerivedRun:
    """Bring the stages after training up to date for a seed, in a folder of their own."""
    stages = stages_after_training()
    made = frozenset(stage.name for stage in stages)
    run = DerivedRun(path, replace(base.settings, seed=seed), base.jobs, base.progress, base, made)
    with FolderLock(path) as lock:
        execute(run, [_standing_on(base, stage, made) for stage in stages], lock)
    return run


def _standing_on(base: Run, stage: Stage, made: frozenset[str]) -> Stage:
    """A stage that takes what is not made anew as it lies in the base, and is made again when that changes."""
    read = {need: base.content(need) for need in stage.needed(base.settings) if stage_of(need) not in made}
    own = tuple(need for need in stage.needed(base.settings) if stage_of(need) in made)
    work = stage.work
    if stage.name == DESCRIBED:
        work, read[DESCRIBED] = describe_again, base.content(DESCRIBED)
    return replace(stage, work=work, needs=own, also=lambda settings: (), outside=lambda settings: read)  # noqa: ARG005
