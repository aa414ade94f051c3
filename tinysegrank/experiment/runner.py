"""Stages of a run: each reads the folders of earlier stages and writes its own.

A second call does only what is missing or changed; `artifacts` decides what that is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tinysegrank.backend import accelerated, get_backend
from tinysegrank.cluster import check_shared
from tinysegrank.config import from_dict, read_toml, to_dict, to_toml
from tinysegrank.errors import CheckpointError, ConfigError
from tinysegrank.experiment import artifacts
from tinysegrank.experiment.artifacts import Condition, Key, Stamp
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.progress import Progress, Silent
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import write_text
from tinysegrank.outputs import check_folder

SETTINGS_FILE = "run.toml"


@dataclass(frozen=True)
class Run:
    """A run folder with the settings it is for. A worker process gets it without its progress.

    Attributes:
        path: the run folder; each stage has a folder of its name in it.
        settings: every number of the experiment.
        jobs: worker processes; results do not depend on it.
        progress: where to report.
    """

    path: Path
    settings: Settings
    jobs: int
    progress: Progress

    @property
    def fold_seed(self) -> int:
        """The seed that assigns training images to folds."""
        return self.settings.seed

    def folder(self, stage: str) -> Path:
        """Return the folder where a stage keeps its files."""
        return self.path / stage

    def path_of(self, file: str) -> Path:
        """Return the path of a file given as STAGE/NAME."""
        stage, name = file.split("/", 1)
        return self.folder(stage) / name

    def stamp(self, stage: str) -> Stamp:
        """Return the record of a stage; an empty one if it is missing or damaged."""
        return artifacts.read_stamp(self.folder(stage))

    def content(self, need: str) -> str:
        """Return a digest of the contents of a stage's files, or of those of STAGE/PLACE."""
        stage, _, place = need.partition("/")
        return self.stamp(stage).content(place)

    def require(self, stages: Sequence[str], what: str) -> None:
        """Check that stages are finished and their files unchanged since they were written.

        Args:
            stages: names of the stages.
            what: the part that needs them, as the subject of the message.

        Raises:
            CheckpointError: a stage is unfinished or a file was changed; the message names it.
        """
        if missing := [stage for stage in stages if not self.stamp(stage).complete]:
            plural = "s" if len(missing) > 1 else ""
            raise CheckpointError(
                f"{self.path}: {what} needs the stage{plural} {', '.join(missing)}, not finished in this run; finish "
                f"it with the command that began it"
            )
        for stage in stages:
            for name in artifacts.damaged_files(self.folder(stage)):
                raise CheckpointError(
                    f"{self.folder(stage) / name}: is missing or changed since it was written; repeat the command "
                    f"that made the run, which replaces it"
                )
        with FolderLock(self.path) as lock:
            for stage in stages:
                artifacts.renew_times(self.folder(stage), lock)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "progress": Silent()}


@dataclass(frozen=True)
class Stage:
    """One step of the experiment.

    Attributes:
        name: its name, also that of its folder.
        work: does the step: writes the files that are missing in its folder.
        needs: names of the stages it reads; STAGE/PLACE if it reads only one file or folder of a stage.
        settings: returns the part of the settings it depends on.
        outside: returns anything else it depends on, such as a listing of input files.
        also: returns further needs that depend on the settings.
        used: returns whether it has anything to do under the settings.
        backend: whether it computes on the array backend, so that another backend's results are stale.
        parts, whole_folders: see `artifacts.make`.
        module: the module whose code it runs; that of `work` by default.
    """

    name: str
    work: Callable[[Run], Any]
    needs: Sequence[str] = ()
    settings: Callable[[Settings], Any] = field(default=lambda settings: None)  # noqa: ARG005
    outside: Callable[[Settings], Any] = field(default=lambda settings: None)  # noqa: ARG005
    also: Callable[[Settings], Sequence[str]] = field(default=lambda settings: ())  # noqa: ARG005
    used: Callable[[Settings], bool] = field(default=lambda settings: True)  # noqa: ARG005
    backend: bool = False
    parts: bool = False
    whole_folders: bool = False
    module: str = ""

    def needed(self, settings: Settings) -> tuple[str, ...]:
        """Return its needs under these settings, including those in stages that are not used."""
        return (*self.needs, *self.also(settings))

    def stages_needed(self, settings: Settings) -> set[str]:
        """Return the names of the stages it needs under these settings, including those not used."""
        return {stage_of(need) for need in self.needed(settings)}


def stage_of(need: str) -> str:
    """Return the stage's name from STAGE or STAGE/PLACE."""
    return need.partition("/")[0]


def read_run(path: Path, *, jobs: int, progress: Progress) -> Run:
    """Open a run folder to read from it.

    Raises:
        CheckpointError: it is not a run folder.
        ConfigError: its settings cannot be read, are damaged, or are those of another version.
    """
    file = path / SETTINGS_FILE
    if not file.is_file():
        raise CheckpointError(f"{path}: is no run folder; make one with `tinysegrank demo` or `tinysegrank run`")
    return Run(path.absolute(), _read_settings(file), jobs, progress)


def _read_settings(file: Path) -> Settings:
    try:
        return from_dict(Settings, read_toml(file))
    except ConfigError as error:
        if isinstance(error.__cause__, OSError):
            raise
        said = str(error).removeprefix(f"{file}: ")
        raise ConfigError(
            f"{file}: is damaged or of another version ({said}); repeat the command that made the run with --update, "
            f"which writes it anew and keeps the results that still fit"
        ) from error


def check_run_folder(path: Path) -> None:
    """Check that a path is a run folder, is empty, or can be made.

    Raises:
        ConfigError: it holds something else.
        OutputError: it cannot be made.
    """
    if (path / SETTINGS_FILE).is_file():
        return
    if path.is_dir() and any(not child.name.startswith(".") for child in path.iterdir()):
        raise ConfigError(f"{path}: is not empty and holds no {SETTINGS_FILE}; choose another --out")
    check_folder(path, named=path)


def open_run(path: Path, settings: Settings, lock: FolderLock, *, jobs: int, progress: Progress, update: bool) -> Run:
    """Create a run folder, or open one made with the same settings.

    Raises:
        ConfigError: the folder was made with other settings, or those it holds are damaged, and `update` is false; it
            holds something else; or another process is at work on it.
        OutputError: the folder cannot be made.
    """
    check_run_folder(path)
    file = path / SETTINGS_FILE
    if file.is_file():
        try:
            held = _read_settings(file)
            changes = [] if held == settings else _differences(to_dict(held), to_dict(settings))
        except ConfigError as error:
            if not update or isinstance(error.__cause__, OSError):
                raise
            changes = ["all"]
        if changes and not update:
            raise ConfigError(
                f"{path}: this run was made with another configuration: {'; '.join(changes[:5])}. "
                f"Choose another --out, or pass --update to make anew what depends on it"
            )
    if not file.is_file() or changes:  # nothing is written where nothing changes: a finished run may be read-only
        lock.hold()
        write_text(file, to_toml(settings))
    check_shared(path)
    return Run(path.absolute(), settings, jobs, progress)


def execute(run: Run, stages: Sequence[Stage], lock: FolderLock, *, keep_stale: bool = False) -> None:
    """Bring every stage that is used up to date, in order.

    Args:
        run: the run.
        stages: the stages, each after those it needs.
        lock: lock of the run folder; taken before anything is written.
        keep_stale: keep results that are stale only because the code has changed.

    Raises:
        ConfigError: another process is at work on the run.
    """
    stages = [stage for stage in stages if stage.used(run.settings)]
    if other := made_by_other_code(run, stages):
        what = "kept all the same" if keep_stale else "made anew (--keep-stale keeps them)"
        run.progress.say(f"made by other code, {what}: {', '.join(other)}")
    before: set[str] = set()
    for stage in stages:
        key, folder = stage_key(run, stage, before), run.folder(stage.name)
        found = artifacts.inspect(folder, key)
        stale = found is Condition.OTHER_CODE and keep_stale and not artifacts.damaged_files(folder)
        if found is Condition.FRESH or stale:
            artifacts.renew_times(folder, lock)
            run.progress.kept(stage.name)
        else:
            lock.hold()
            if found is Condition.DAMAGED:
                run.progress.say(_damage(folder))
            with run.progress.stage(stage.name):
                artifacts.make(
                    folder, key, partial(stage.work, run), parts=stage.parts, whole_folders=stage.whole_folders
                )
        before.add(stage.name)


def stage_key(run: Run, stage: Stage, before: Collection[str]) -> Key:
    """Return the key of a stage, given the names of the stages before it that are used."""
    inputs = {
        "stage": stage.name,
        "outside": stage.outside(run.settings),
        "needs": {need: run.content(need) for need in stage.needed(run.settings) if stage_of(need) in before},
        "accelerated": accelerated(),
    }
    if stage.backend:
        backend = get_backend()
        inputs["backend"] = [backend.name, str(backend.device)]
    return artifacts.key(stage.settings(run.settings), inputs, _module(stage))


def made_by_other_code(run: Run, stages: Sequence[Stage]) -> list[str]:
    """Return the names of the finished stages whose files were written by other code than the present."""
    stamps = [(stage, run.stamp(stage.name)) for stage in stages if stage.used(run.settings)]
    return [
        stage.name for stage, stamp in stamps if stamp.complete and stamp.key.code != artifacts.code_of(_module(stage))
    ]


def _module(stage: Stage) -> str:
    return stage.module or stage.work.__module__


def _damage(folder: Path) -> str:
    names = artifacts.damaged_files(folder)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{folder.name}/{names[0]}{more}: missing or changed since they were written; replaced"


def _differences(held: Mapping[str, Any], asked: Mapping[str, Any], place: str = "") -> list[str]:
    lines = []
    for key in held:
        if isinstance(held[key], dict):
            lines += _differences(held[key], asked[key], f"{place}{key}.")
        elif held[key] != asked[key]:
            lines.append(f"{place}{key} was {held[key]!r}, is now {asked[key]!r}")
    return lines
