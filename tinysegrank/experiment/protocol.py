"""The paper's experiment: its stages in order.

images -> trunk features -> SegNet trainings -> coarse maps -> full-size labels (Eq. 16, superpixels)
       -> image classifiers, proposals -> features and Eq. 17 -> ranking SVM -> picks -> evaluation -> tables
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from tinysegrank.backend import check_backends
from tinysegrank.config import from_dict
from tinysegrank.errors import ConfigError, OutputError
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.manifest import write_manifest
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.proposers import proposers_of
from tinysegrank.experiment.run_folder import open_run
from tinysegrank.experiment.runner import Run, Stage, execute, stage_of
from tinysegrank.experiment.settings import Settings, with_classes
from tinysegrank.experiment.stages import (
    classifiers,
    coarse,
    data,
    described,
    evaluation,
    features,
    maps,
    picked,
    pooled,
    proposals,
    proposing,
    ranker,
    report,
    segments,
    superpixels,
    training,
    trunk,
    upsampled,
)

STAGES = tuple(
    module.STAGE
    for module in (
        data, trunk, features, training, coarse, classifiers, superpixels, maps, upsampled, segments, pooled,
        proposing, proposals, described, ranker, picked, evaluation, report,
    )
)  # fmt: skip
"""All stages, each after those that it needs."""


def run_experiment(
    path: Path,
    settings: Settings,
    *,
    jobs: int,
    progress: Progress,
    update: bool = False,
    until: str | None = None,
    keep_stale: bool = False,
    lock: FolderLock | None = None,
) -> Run:
    """Run the stages of an experiment that are missing or out of date in a run folder.

    Args:
        path: the run folder; made if it does not exist.
        jobs: number of worker processes; the results are the same for any.
        update: change the settings of an existing run, and make anew what depends on them.
        until: name of the last stage, by default the last of all; only that stage and those it needs are done.
        keep_stale: keep results that were made by other code.
        lock: lock of the run folder, if the caller has made one, held or not; it is released at the end.

    Raises:
        DatasetError, WeightsError, ConfigError, BackendError: an input or setting is wrong. It is checked before any
            long work, and the message names the file, setting or stage. Also ConfigError if another process is at
            work on the run.
        OutputError: the run folder cannot be written, or holds an input.
        CheckpointError: a link in the run folder leads out of it.
        TrainingError, MemoryShortageError: see `execute`.
    """
    settings = replace(settings, backend=check_backends().kind)  # one that cannot be used is reported now
    stages = stages_until(STAGES[-1].name if until is None else until, settings)
    settings = with_classes(_with_absolute_inputs(settings, path))
    data.check_settings(settings, truth=picked.STAGE in stages)
    for proposer in proposers_of(settings):
        proposer.check(settings)
    with lock or FolderLock(path) as held:
        run = open_run(path, settings, held, jobs=jobs, progress=progress, update=update)
        execute(run, stages, held, keep_stale=keep_stale)
        write_manifest(run, held)
    return run


def _with_absolute_inputs(settings: Settings, path: Path) -> Settings:
    """Return the settings with the paths of inputs made absolute.

    Raises:
        OutputError: an input is in the run folder, where a stage that is made anew would delete it.
    """
    changes = {}
    for part, name in (("data", "voc"), ("trunk", "weights"), ("proposals", "folder")):
        if given := getattr(getattr(settings, part), name):
            place = Path(os.path.realpath(given))
            if place.is_relative_to(os.path.realpath(path)):
                raise OutputError(
                    f"{path}: holds {part}.{name}={place}, which making a stage anew may delete; move it elsewhere"
                )
            changes[part] = {name: str(place)}
    return from_dict(Settings, changes, base=settings)


def stages_until(name: str, settings: Settings) -> list[Stage]:
    """Return a stage and all that it needs, directly or indirectly, in order; only stages used under the settings.

    Raises:
        ConfigError: no stage has that name.
    """
    by_name = {stage.name: stage for stage in STAGES}
    if name not in by_name:
        raise ConfigError(f'until="{name}": choose one of {", ".join(by_name)}')
    needed, open_names = set(), [name]
    while open_names:
        needed.add(now := open_names.pop())
        if by_name[now].used(settings):
            open_names += map(stage_of, by_name[now].needed(settings))
    return [stage for stage in STAGES if stage.name in needed and stage.used(settings)]
