"""Run folders: opened to read or to write, and the settings file in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from tinysegrank.cluster import check_shared
from tinysegrank.config import from_dict, read_toml, to_dict, to_toml
from tinysegrank.errors import CheckpointError, ConfigError, brief
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.manifest import is_foreign, read_manifest, write_manifest
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import write_text
from tinysegrank.inputs import MANIFEST_FILE, SETTINGS_FILE, check_run
from tinysegrank.links import check_links
from tinysegrank.outputs import check_folder
from tinysegrank.stamps import STAMP, file_digest, read_stamp


def read_run(path: Path, *, jobs: int, progress: Progress) -> Run:
    """Open a run folder to read from it.

    Raises:
        CheckpointError: it is not a run folder, the settings file is missing or differs from what the manifest notes,
            the manifest is damaged, or a link in the folder leads out of it.
        ConfigError: the settings cannot be read, are damaged, or are those of another version.
    """
    check_run(path)
    check_links(path, CheckpointError)
    settings, manifest = _read_settings(path), read_manifest(path)
    if not manifest and (path / MANIFEST_FILE).exists():
        raise CheckpointError(f"{path / MANIFEST_FILE}: is damaged; repeat the command that made the run")
    if manifest.get("settings") not in (None, file_digest(path / SETTINGS_FILE)):
        raise CheckpointError(
            f"{path / SETTINGS_FILE}: is not as {MANIFEST_FILE} says; repeat the command that made the run, which "
            f"replaces the one that is damaged"
        )
    return Run(path.absolute(), settings, jobs, progress)


def check_run_folder(path: Path) -> None:
    """Check that a path is a run folder, a folder with nothing but hidden files, or one that can be made; make nothing.

    Raises:
        CheckpointError: a link in the run folder leads out of it.
        ConfigError: the folder holds something else.
        OutputError: the folder cannot be made or written to.
    """
    if (path / SETTINGS_FILE).is_file() or (path / MANIFEST_FILE).is_file():
        check_links(path, CheckpointError)
        return
    if path.is_dir() and any(not child.name.startswith(".") for child in path.iterdir()):
        raise ConfigError(f"{path}: is not empty and holds no {SETTINGS_FILE}; choose another --out")
    check_folder(path, named=path)


def open_run(path: Path, settings: Settings, lock: FolderLock, *, jobs: int, progress: Progress, update: bool) -> Run:
    """Create a run folder, or open one made with the same settings; with `update`, change its settings to the given.

    A damaged or edited settings file is written anew if the run was made with the given settings. Nothing is written if
    the file has them already, so a finished run may be on a read-only disk. While no stage is finished, other settings
    replace those of the folder.

    Raises:
        ConfigError: the folder holds something else; the settings file cannot be read; without `update`, the run was
            made with other settings, or a damaged file leaves that open; another process is at work on the run; or a
            worker of a cluster doesn't see the folder.
        CheckpointError: a link in the folder leads out of it.
        OutputError: the folder cannot be made or written to.
    """
    check_run_folder(path)
    run = Run(path.absolute(), settings, jobs, progress)
    asked, held, file = to_dict(settings), {}, path / SETTINGS_FILE
    if file.is_file():
        noted = None if is_foreign(run) else read_manifest(path).get("settings")
        changed = noted not in (None, file_digest(file))
        as_noted = noted == sha256(to_toml(settings).encode()).hexdigest()
        if changed and not as_noted and not update:
            raise ConfigError(
                f"{file}: was changed since the run was made; undo the change, or pass --update to make anew what "
                "depends on it"
            )
        try:
            held = to_dict(_read_settings(path)) if not changed else {}
        except ConfigError as error:
            if not update or isinstance(error.__cause__, OSError):
                raise
        if held != asked and not update and not changed and _has_finished_stages(path):
            raise ConfigError(
                f"{path}: this run was made with another configuration: {'; '.join([*_differences(held, asked)][:5])}. "
                f"Choose another --out, or pass --update to make anew what depends on it"
            )
    if held != asked:
        lock.hold()
        write_text(file, to_toml(settings))
        write_manifest(run, lock)
    check_shared(path)
    return run


def _has_finished_stages(path: Path) -> bool:
    return any(read_stamp(stamp.parent).complete for stamp in path.glob(f"*/{STAMP}"))


def _read_settings(path: Path) -> Settings:
    file = path / SETTINGS_FILE
    try:
        return from_dict(Settings, read_toml(file))
    except ConfigError as error:
        if isinstance(error.__cause__, OSError):
            raise
        said = brief(str(error).removeprefix(f"{file}: "))
        raise ConfigError(
            f"{file}: is damaged or of another version ({said}); repeat the command that made the run with --update, "
            f"which writes it anew and keeps the results that still fit"
        ) from error


def _differences(held: Mapping[str, Any], asked: Mapping[str, Any], section: str = "") -> Iterator[str]:
    for key, value in held.items():
        if isinstance(value, dict):
            yield from _differences(value, asked[key], f"{section}{key}.")
        elif value != asked[key]:
            yield f"{section}{key} was {value!r}, is now {asked[key]!r}"
