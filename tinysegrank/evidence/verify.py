"""Compare every file of a run with its digest."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import NamedTuple

from tinysegrank.evidence.collect import ALL, PIECES
from tinysegrank.evidence.piece import EVIDENCE, RECORD, evidence_folders, read_seeds
from tinysegrank.experiment.artifacts import damaged_files
from tinysegrank.experiment.manifest import contradictions
from tinysegrank.experiment.protocol import STAGES
from tinysegrank.experiment.runner import Run, stage_of
from tinysegrank.stamps import STAMP, Stamp, read_stamp


class Verified(NamedTuple):
    """The state of a run: damaged files, stale and unfinished stages, and the commands that repair them."""

    files: int  # number of files compared
    damage: list[str]  # a line for each damaged or missing file, beginning with its path in the run folder
    stale: list[str]  # a line for each stage that was made from other versions of its inputs
    unfinished: list[str]  # names of the stages that are not finished
    commands: list[str]  # shell commands that make what is damaged, stale or unfinished


def verify(run: Run) -> Verified:
    """Compare the files of all stages and pieces of evidence with the digests in their stamps.

    A damaged file gets the present time, so that later commands, which go by size and time, notice it too.
    """
    stages = [stage.name for stage in STAGES if stage.used(run.settings)]
    finished = [name for name in stages if run.stamp(name).complete]
    unfinished = [name for name in stages if name not in finished]
    faults = {} if unfinished else contradictions(run)
    count, damage = 0, [f"{file}: {why}" for file, why in faults.items()]
    folders = sorted({run.folder(name) for name in stages if run.folder(name).is_dir()} | evidence_folders(run.path))
    with run.progress.count("folders", len(folders)) as advance:
        for folder in folders:
            stamp, place = read_stamp(folder), folder.relative_to(run.path).as_posix()
            count += len(stamp.files)
            advance(1)
            if f"{place}/{STAMP}" in faults:
                continue  # another stamp says nothing of these files
            if stamp == Stamp():
                damage.append(f"{place}/{STAMP}: is missing or damaged")
            for name in damaged_files(folder, read_all=True):
                with suppress(OSError):
                    os.utime(folder / name)
                damage.append(f"{place}/{name}: is missing or changed since it was written")
    stale = {name: [need for need in run.other_needs(name) if stage_of(need) in finished] for name in stages}
    lines = [f"{name}: was made from another {', '.join(needs)}" for name, needs in stale.items() if needs]
    return Verified(count, sorted(damage), lines, unfinished, _commands(run, damage, bool(lines or unfinished)))


def _commands(run: Run, damage: list[str], to_do: bool) -> list[str]:
    """Return the commands that repair a run: `run` if `to_do` or a stage is damaged, `evidence` per set of seeds."""
    commands = []
    if to_do or any(not line.startswith(f"{EVIDENCE}/") for line in damage):
        commands.append(run.command)
    made = [piece.name for piece in PIECES if (run.folder(EVIDENCE) / piece.name / RECORD).is_file()] or [ALL]
    named = dict.fromkeys(line.split("/")[1] for line in damage if line.startswith(f"{EVIDENCE}/"))
    known = {piece.name for piece in PIECES}
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for name in dict.fromkeys(name if name in known else made[0] for name in named):  # any piece repairs what is shared
        by_seeds.setdefault(read_seeds(run.folder(EVIDENCE) / name), []).append(name)
    for seeds, names in by_seeds.items():
        option = ["--seeds", ",".join(map(str, seeds))] if seeds else []
        commands.append(shlex.join(["tinysegrank", "evidence", str(run.path), *names, *option]))
    return commands
