"""Stages of a run: each reads earlier stages' folders, writes its own, and leaves a stamp of what it was made from.

A second call does only what is missing or changed: a stage whose stamp is complete and made from the same settings and
inputs is kept; one that was interrupted goes on with the files it left; one made from anything else is made anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinysegrank.cluster import check_shared
from tinysegrank.config import from_dict, read_toml, to_dict, to_toml
from tinysegrank.errors import CheckpointError, ConfigError
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import read_json, write_json, write_text
from tinysegrank.outputs import check_folder

SETTINGS_FILE = "run.toml"
_STAMP = "stamp.json"
_VERSION = 1  # raise when a stage's files change their meaning


@dataclass(frozen=True)
class Run:
    """A run folder with the settings it is for.

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
        """The seed that deals the training images out to folds."""
        return self.settings.seed

    def folder(self, stage: str) -> Path:
        """Where a stage keeps its files."""
        return self.path / stage

    def key(self, stage: str) -> str:
        """The key that a stage's present files were made under; "" where there are none."""
        return str(self.stamp(stage).get("key", ""))

    def stamp(self, stage: str) -> dict[str, Any]:
        """A stage's stamp, empty where there is none or it is damaged."""
        try:
            stamp = read_json(self.folder(stage) / _STAMP)
        except CheckpointError:
            return {}
        return stamp if isinstance(stamp, dict) else {}


@dataclass(frozen=True)
class Stage:
    """One step of the experiment.

    Attributes:
        name: also of its folder.
        work: does it; may return a string that stands for its result, so that later stages are kept when a repeated
            stage came out the same.
        needs: names of the stages it reads.
        also: names of those that it reads too under some settings.
        settings: the part of the settings it depends on.
        outside: what else it depends on, such as a listing of input files.
        sorts: its work throws away what no longer fits and keeps the rest, so the folder is not emptied for it.
    """

    name: str
    work: Callable[[Run], str | None]
    needs: Sequence[str] = ()
    settings: Callable[[Settings], Any] = field(default=lambda settings: None)  # noqa: ARG005
    outside: Callable[[Settings], Any] = field(default=lambda settings: None)  # noqa: ARG005
    also: Callable[[Settings], Sequence[str]] = field(default=lambda settings: ())  # noqa: ARG005
    sorts: bool = False

    def needed(self, settings: Settings) -> tuple[str, ...]:
        """Names of the stages that it reads under these settings."""
        return (*self.needs, *self.also(settings))


def read_run(path: Path, *, jobs: int, progress: Progress) -> Run:
    """Open a run folder to read from it.

    Raises:
        CheckpointError: it is no run folder.
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
    """See that a path is a run folder, is empty, or can be made.

    Raises:
        ConfigError: it holds something else.
        OutputError: it cannot be made.
    """
    if (path / SETTINGS_FILE).is_file():
        return
    if path.is_dir() and any(path.iterdir()):
        raise ConfigError(f"{path}: is not empty and holds no {SETTINGS_FILE}; choose another --out")
    check_folder(path, named=path)


def open_run(path: Path, settings: Settings, *, jobs: int, progress: Progress, update: bool) -> Run:
    """Make a run folder, or go on with one made with the same settings.

    Raises:
        ConfigError: the folder was made with other settings, or those it holds are damaged, and `update` is false; or
            it is no run folder.
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
        write_text(file, to_toml(settings))
    check_shared(path)
    return Run(path.absolute(), settings, jobs, progress)


def execute(run: Run, stages: Sequence[Stage]) -> None:
    """Bring every stage up to date, in order."""
    results: dict[str, str] = {}
    for stage in stages:
        key = _digest(
            {
                "version": _VERSION,
                "name": stage.name,
                "settings": stage.settings(run.settings),
                "outside": stage.outside(run.settings),
                "needs": {name: results[name] for name in stage.needed(run.settings)},
            }
        )
        stamp = run.stamp(stage.name)
        if stamp.get("key") == key and stamp.get("complete"):
            run.progress.kept(stage.name)
        else:
            stamp = _perform(run, stage, key, stamp)
        results[stage.name] = stamp["result"]


def _perform(run: Run, stage: Stage, key: str, stamp: Mapping[str, Any]) -> dict[str, Any]:
    folder = run.folder(stage.name)
    if stamp.get("key") != key and folder.exists() and not stage.sorts:
        shutil.rmtree(folder)
    earlier = float(stamp.get("seconds", 0.0)) if stamp.get("key") == key else 0.0
    write_json(folder / _STAMP, {"key": key, "complete": False, "seconds": earlier})
    started = time.perf_counter()
    with run.progress.stage(stage.name):
        result = stage.work(run)
    seconds = round(earlier + time.perf_counter() - started, 3)
    done = {"key": key, "complete": True, "seconds": seconds, "result": result or key}
    write_json(folder / _STAMP, done)
    return done


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=to_dict).encode()).hexdigest()


def _differences(held: Mapping[str, Any], asked: Mapping[str, Any], place: str = "") -> list[str]:
    lines = []
    for key in held:
        if isinstance(held[key], dict):
            lines += _differences(held[key], asked[key], f"{place}{key}.")
        elif held[key] != asked[key]:
            lines.append(f"{place}{key} was {held[key]!r}, is now {asked[key]!r}")
    return lines
