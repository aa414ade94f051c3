"""Read every file of a run, and compare it with its digest."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import NamedTuple

from tinysegrank.experiment.artifacts import damaged_files
from tinysegrank.experiment.manifest import contradictions
from tinysegrank.experiment.protocol import STAGES
from tinysegrank.experiment.runner import Run
from tinysegrank.stamps import STAMP, Stamp, read_stamp


class Verified(NamedTuple):
    """The state of a run's files.

    Attributes:
        files: number of files that were read.
        damage: a line for each fault, beginning with the path in the run folder.
        unfinished: names of the stages that are not finished.
        commands: what makes the damaged files anew.
    """

    files: int
    damage: list[str]
    unfinished: list[str]
    commands: list[str]


def verify(run: Run) -> Verified:
    """Compare every file of every finished stage and piece of evidence with the digest in its stamp.

    A damaged file gets the present time, so that the command that makes it anew looks at it.
    """
    stages = [stage.name for stage in STAGES if stage.used(run.settings)]
    folders = {run.folder(name) for name in stages if run.folder(name).is_dir()}
    folders |= {file.parent for file in run.path.glob("evidence/*/evidence.json")}
    folders |= {stamp.parent for stamp in run.path.rglob(STAMP)}
    count, damage = 0, dict[str, None]()  # in order, each once: inner artifacts are the outer one's too
    with run.progress.count("folders", len(folders)) as advance:
        for folder in sorted(folders):
            stamp, place = read_stamp(folder), folder.relative_to(run.path).as_posix()
            if stamp == Stamp():
                damage[f"{place}/{STAMP}: is missing or damaged"] = None
            count += len(stamp.files)
            for name in damaged_files(folder, read_all=True):
                with suppress(OSError):
                    os.utime(folder / name)
                damage[f"{place}/{name}: is missing or changed since it was written"] = None
            advance(1)
    for name in stages:
        damage |= dict.fromkeys(f"{name}/{STAMP}: {why}" for why in run.other_needs(name))
    unfinished = [name for name in stages if not run.stamp(name).complete]
    if not unfinished:
        damage |= dict.fromkeys(contradictions(run))
    return Verified(count, list(damage), unfinished, _commands(run, list(damage), unfinished))


def _commands(run: Run, damage: list[str], unfinished: list[str]) -> list[str]:
    pieces = list(dict.fromkeys(line.split("/")[1] for line in damage if line.startswith("evidence/")))
    commands = []
    if unfinished or any(not line.startswith("evidence/") for line in damage):
        commands.append(run.command)
    return [*commands, *([shlex.join(["tinysegrank", "evidence", str(run.path), *pieces])] if pieces else [])]
