"""Refuse symbolic links that lead out of a folder: in a folder from elsewhere they could expose or replace any file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tinysegrank.errors import TinySegRankError, explain_os_error


def check_links(folder: Path, raises: type[TinySegRankError], *, deep: bool = True) -> None:
    """Check that no symbolic link in a folder leads out of it; with `deep`, also check those in folders inside it.

    The folder may be a link itself, or be missing.

    Raises:
        TinySegRankError: a link leads out, or the system refuses to list a folder. The error's class is `raises`.
    """
    try:
        for link in _links(folder, deep=deep):
            check_link(link, folder, raises)
    except OSError as error:
        raise raises(explain_os_error(error.filename or folder, error)) from error


def check_link(path: Path, folder: Path, raises: type[TinySegRankError]) -> None:
    """Check that one path in a folder is not a symbolic link that leads out of the folder; see `check_links`."""
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise raises(f"{path}: is a link that leads out of {folder}; replace it by a copy of what it leads to")


def _links(folder: Path, *, deep: bool) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                elif deep and entry.is_dir():
                    yield from _links(Path(entry.path), deep=True)
    except (FileNotFoundError, NotADirectoryError):  # another command may be at work in a run folder
        return
