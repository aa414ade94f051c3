"""Runs and their stages: each stage reads the folders of earlier stages and writes its own.

`execute` does only what is missing or stale, which `artifacts` decides.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from tinysegrank.backend import accelerated, get_backend, named_devices
from tinysegrank.errors import CheckpointError, MemoryShortageError, TrainingError, out_of_memory
from tinysegrank.experiment import artifacts
from tinysegrank.experiment.artifacts import Condition
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.progress import Progress, Silent
from tinysegrank.experiment.settings import Settings
from tinysegrank.inputs import SETTINGS_FILE
from tinysegrank.stamps import STAMP, Key, Stamp, read_stamp


@dataclass(frozen=True)
class Run:
    """A run folder with its settings, and how to work on it. A worker process gets a copy that reports nothing.

    Attributes:
        path: the run folder; each stage has a folder of its name in it.
        settings: settings of the whole experiment.
        jobs: number of worker processes; results do not depend on it.
        progress: where to report.
    """

    path: Path
    settings: Settings
    jobs: int
    progress: Progress

    @property
    def backend_jobs(self) -> int:
        """Number of worker processes for work on the array backend: `jobs`, but on GPUs at most one per device."""
        return self.jobs if get_backend().on_host else min(self.jobs, len(named_devices()))

    @property
    def fold_seed(self) -> int:
        """Seed by which training images are assigned to folds."""
        return self.settings.seed

    @property
    def command(self) -> str:
        """Shell command that resumes the run, whichever command started it."""
        settings = str(self.path / SETTINGS_FILE)
        given = ["--voc", self.settings.data.voc, "--config", settings, "--out", str(self.path)]
        return shlex.join(["tinysegrank", "run", *given])

    def folder(self, stage: str) -> Path:
        """Return the folder where a stage keeps its files."""
        return self.path / stage

    def path_of(self, file: str) -> Path:
        """Return the path of a file given as STAGE/NAME."""
        stage, name = file.split("/", 1)
        return self.folder(stage) / name

    def stamp(self, stage: str) -> Stamp:
        """Read the stamp of a stage; return an empty one if it is missing or damaged."""
        return read_stamp(self.folder(stage))

    def content(self, need: str) -> str:
        """Return a digest of the files of a need: STAGE, or STAGE/PLACE for one file or folder; "" if unfinished."""
        stage, _, place = need.partition("/")
        return self.stamp(stage).content(place)

    def other_needs(self, stage: str) -> list[str]:
        """Return the needs of a stage that have other contents now than when it was made; none if it isn't finished.

        A need whose stage has no stamp is left out.
        """
        needs = self.stamp(stage).needs.items() if self.stamp(stage).complete else ()
        return [
            need
            for need, content in needs
            if (self.folder(stage_of(need)) / STAMP).is_file() and self.content(need) != content
        ]

    def unfinished(self, stages: Sequence[str]) -> str:
        """Return as text which of the stages are not finished; "" if all are."""
        missing = [stage for stage in stages if not self.stamp(stage).complete]
        plural = "s" if len(missing) > 1 else ""
        return f"the stage{plural} {', '.join(missing)}, not finished in this run" if missing else ""

    def require(self, stages: Sequence[str], what: str) -> None:
        """Check that stages are finished, their files unchanged, and their inputs those that they were made from.

        If only the times of files differ, as in a copy of the run, the new times are stored for the next check.

        Args:
            stages: names of the stages.
            what: the part that needs them, as the subject of the message.

        Raises:
            CheckpointError: a stage is unfinished or was made from other versions of its inputs, or a file was changed.
        """
        if missing := self.unfinished(stages):
            raise CheckpointError(f"{self.path}: {what} needs {missing}; finish it by: {self.command}")
        with self.progress.count("stages checked", len(stages)) as advance:  # files with other times are read
            for stage in stages:
                artifacts.check_damage(self.folder(stage))
                for need in self.other_needs(stage):
                    raise CheckpointError(
                        f"{self.folder(stage)}: was made from another {need}; make it anew by: {self.command}"
                    )
                advance(1)
        with FolderLock(self.path) as lock:
            for stage in stages:
                artifacts.renew_times(self.folder(stage), lock)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "progress": Silent()}


@dataclass(frozen=True)
class Stage:
    """One step of the experiment.

    Attributes:
        name: name of the stage and of its folder.
        work: writes the files that are missing in the stage's folder.
        needs: names of the stages that it reads; STAGE/PLACE for a single file or folder of a stage.
        settings: returns the part of the settings that it depends on.
        outside: returns anything else that it depends on, such as a listing of input files.
        also: returns further needs, which depend on the settings.
        used: returns whether there is anything to do under the settings.
        backend: whether it computes on the array backend, so that another backend's results are stale.
        batches: names of settings that its memory grows with, such as "trunk.chunk", for a message.
        parts, whole_folders: see `artifacts.make`.
    """

    name: str
    work: Callable[[Run], Any]
    needs: Sequence[str] = ()
    settings: Callable[[Settings], Any] = field(default=lambda settings: None)  # noqa: ARG005
    outside: Callable[[Settings], Any] = field(default=lambda settings: None)  # noqa: ARG005
    also: Callable[[Settings], Sequence[str]] = field(default=lambda settings: ())  # noqa: ARG005
    used: Callable[[Settings], bool] = field(default=lambda settings: True)  # noqa: ARG005
    backend: bool = False
    batches: Sequence[str] = ()
    parts: bool = False
    whole_folders: bool = False

    def needed(self, settings: Settings) -> tuple[str, ...]:
        """Return the stage's needs under these settings; some may be of stages that are not used."""
        return (*self.needs, *self.also(settings))


def stage_of(need: str) -> str:
    """Return the name of the stage in a need, STAGE or STAGE/PLACE."""
    return need.partition("/")[0]


def execute(run: Run, stages: Sequence[Stage], lock: FolderLock, *, keep_stale: bool = False) -> None:
    """Bring each stage that the settings use up to date, in order. If a stage fails, what it has stored stays.

    Args:
        stages: the stages, each after those it needs.
        lock: lock of the run folder; this function takes it before it writes anything.
        keep_stale: keep results that are stale only because the code has changed.

    Raises:
        ConfigError: another process is at work on the run.
        OutputError: the run folder cannot be written.
        TrainingError: a training failed, such as by a loss that is not finite; the message names the stage.
        MemoryShortageError: memory ran out; the message names the stage and what to lower.
    """
    stages = [stage for stage in stages if stage.used(run.settings)]
    used = {stage.name for stage in stages}
    run.progress.plan([stage.name for stage in stages], pretrained=bool(run.settings.trunk.weights))
    if other := made_by_other_code(run, stages):
        what = "kept all the same" if keep_stale else "made anew (--keep-stale keeps them)"
        run.progress.say(f"made by other code, {what}: {', '.join(other)}")
    for stage in stages:
        key, folder = stage_key(run, stage, used), run.folder(stage.name)
        with run.progress.count(f"files of {stage.name}, checked", 1):
            found = artifacts.inspect(folder, key)
            damaged = artifacts.damaged_files(folder) if found in (Condition.DAMAGED, Condition.OTHER_CODE) else []
        if found is Condition.FRESH or (found is Condition.OTHER_CODE and keep_stale and not damaged):
            artifacts.renew_times(folder, lock)
            run.progress.kept(stage.name)
            continue
        lock.hold()
        if found is Condition.DAMAGED:
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            run.progress.say(f"{stage.name}/{damaged[0]}{more}: missing or changed since they were written; replaced")
        with run.progress.stage(stage.name):
            work = partial(stage.work, replace(run, jobs=run.backend_jobs) if stage.backend else run)
            needs = _needs(run, stage, used)
            try:
                artifacts.make(folder, key, work, needs=needs, parts=stage.parts, whole_folders=stage.whole_folders)
            except TrainingError as error:
                raise TrainingError(f"stage {stage.name}: {error}") from error
            except Exception as error:
                if out_of_memory(error):
                    raise _shortage(run, stage, error) from error
                raise


def _shortage(run: Run, stage: Stage, error: Exception) -> MemoryShortageError:
    jobs = run.backend_jobs if stage.backend else run.jobs
    used = [f"--jobs {jobs}", *(f"--set {name}={attrgetter(name)(run.settings)}" for name in stage.batches)]
    free = get_backend().free_bytes() if stage.backend else 0
    left = f", {free / 2**20:,.0f} MB of the device's memory are free" if free else ""
    said = str(error).strip().partition("\n")[0]
    return MemoryShortageError(
        f"stage {stage.name}: out of memory ({said}) with {' '.join(used)}{left}; resume with smaller numbers: "
        f"{run.command}"
    )


def _needs(run: Run, stage: Stage, used: Collection[str]) -> dict[str, str]:
    return {need: run.content(need) for need in stage.needed(run.settings) if stage_of(need) in used}


def stage_key(run: Run, stage: Stage, used: Collection[str]) -> Key:
    """Return the key of a stage, given the names of the stages that are used."""
    inputs = {
        "stage": stage.name,
        "outside": stage.outside(run.settings),
        "needs": _needs(run, stage, used),
        "accelerated": accelerated(),
    }
    if stage.backend:
        inputs["backend"] = run.settings.backend.split(" on ")
    return artifacts.key(stage.settings(run.settings), inputs, stage.work.__module__)


def made_by_other_code(run: Run, stages: Sequence[Stage]) -> list[str]:
    """Return the names of the finished stages that were made by code other than the present."""
    finished = [stage for stage in stages if stage.used(run.settings) and run.stamp(stage.name).complete]
    return [
        stage.name for stage in finished if run.stamp(stage.name).key.code != artifacts.code_of(stage.work.__module__)
    ]
