"""Making pieces of evidence of a run: only what is missing or was made from something else."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

from tinysegrank.backend import get_backend
from tinysegrank.config import to_dict
from tinysegrank.errors import CheckpointError, ConfigError
from tinysegrank.evidence.judge import FOLDER
from tinysegrank.evidence.pieces import Asked, Piece
from tinysegrank.evidence.registry import ALL, PIECES, pieces_named
from tinysegrank.evidence.written import RECORD, Written, read_written, write_finding
from tinysegrank.experiment.artifacts import FolderLock
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.runner import Run, read_run
from tinysegrank.files import read_json, write_json

SEEDS = (0, 1, 2)
_STATE = "state.json"
_VERSION = 1  # raise when a piece's files change their meaning


def collect_evidence(
    path: Path,
    names: tuple[str, ...],
    *,
    seeds: tuple[int, ...] = SEEDS,
    jobs: int,
    progress: Progress,
    redo: bool = False,
) -> list[Written]:
    """Make pieces of evidence of a run: RUN/evidence/NAME/{claim.md, table.md, table.csv, figure.png}.

    What is there and was made from the same results is kept; trainings go on where they were interrupted. "all" makes
    every piece that the run is far enough for, and says which it leaves out.

    Args:
        path: the run folder.
        names: of the pieces, or "all".
        seeds: of the pieces that train.
        jobs: worker processes; the results are the same for any number.
        progress: where to report.
        redo: make tables and figures anew, with the trainings and rankers that are there.

    Raises:
        CheckpointError: it is no run folder, or a piece that was asked for by name needs what the run does not have.
        ConfigError: there is no piece of a name, or no seed, or one twice.
        BackendError: the backend cannot be used.
    """
    get_backend()
    pieces = pieces_named(names)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds={list(seeds)}: give at least one, each once")
    run = read_run(path, jobs=jobs, progress=progress)
    lacking = {piece.name: what for piece in pieces if (what := lacks(run, piece))}
    asked_for = [name for name in names if name in lacking]
    if asked_for or len(lacking) == len(pieces):
        name = (asked_for or list(lacking))[0]
        raise CheckpointError(f"{path}: {name} needs {lacking[name]}; {_way_out(run)}")
    for name, what in lacking.items():
        progress.say(f"{name} left out: it needs {what}")
    with FolderLock(path) as lock:
        return [make_piece(run, piece, seeds, lock, redo=redo) for piece in pieces if piece.name not in lacking]


def lacks(run: Run, piece: Piece) -> str:
    """What a piece needs and the run does not have, in words; "" where nothing is missing."""
    missing = [stage for stage in piece.needs if not run.stamp(stage).complete]
    if missing:
        return f"the stage{'s' if len(missing) > 1 else ''} {', '.join(missing)}, not finished in this run"
    return piece.lacks(run)


def make_piece(run: Run, piece: Piece, seeds: tuple[int, ...], lock: FolderLock, *, redo: bool = False) -> Written:
    """Make one piece, or keep it."""
    folder, key = run.folder(FOLDER) / piece.name, _key(run, piece, seeds)
    state = _state(folder)
    if state.get("key") == key and state.get("complete") and (folder / RECORD).is_file() and not redo:
        run.progress.kept(piece.name)
        return read_written(folder)
    lock.hold()  # only now: evidence that is made can be shown from a disk that is read-only
    if state.get("key") != key and folder.exists() and not piece.seeded:
        shutil.rmtree(folder)  # trainings tell for themselves whether they still fit
    write_json(folder / _STATE, {"key": key, "complete": False})
    started = time.perf_counter()
    with run.progress.stage(piece.name):
        write_finding(folder, piece.name, piece.title, piece.work(Asked(run, folder, seeds)))
    write_json(folder / _STATE, {"key": key, "complete": True, "seconds": round(time.perf_counter() - started, 3)})
    return read_written(folder)


def evidence_state(run: Run) -> list[tuple[Piece, str]]:
    """Each piece with "made", "made from earlier results", "can be made", or what it needs."""
    out = []
    for piece in PIECES:
        state, what = _state(run.folder(FOLDER) / piece.name), lacks(run, piece)
        if state.get("complete"):
            fresh = not what and state.get("key", "")[:_KEY] == _made_from(run, piece)
            out.append((piece, "made" if fresh else "made from earlier results"))
        else:
            out.append((piece, f"needs {what}" if what else "can be made"))
    return out


def read_evidence(run: Run) -> list[tuple[Written, bool]]:
    """The pieces that are made, in order, and whether each was made from the run's present results."""
    made = [(piece, state) for piece, state in evidence_state(run) if state.startswith("made")]
    return [(read_written(run.folder(FOLDER) / piece.name), state == "made") for piece, state in made]


_KEY = 64  # hexadecimal digits of the part of a key that does not depend on the seeds


def _key(run: Run, piece: Piece, seeds: tuple[int, ...]) -> str:
    return _made_from(run, piece) + (f" seeds {list(seeds)}" if piece.seeded else "")


def _made_from(run: Run, piece: Piece) -> str:
    """A digest of the results and settings that a piece depends on."""
    settings = [run.settings.report.classes, run.settings.ranking, run.settings.seed, piece.settings(run.settings)]
    stages = {stage: run.content(stage) for stage in piece.needs}
    made = json.dumps([_VERSION, piece.name, stages, settings], sort_keys=True, default=to_dict)
    return hashlib.sha256(made.encode()).hexdigest()


def _state(folder: Path) -> dict[str, Any]:
    try:
        state = read_json(folder / _STATE)
    except CheckpointError:
        return {}
    return state if isinstance(state, dict) else {}


def _way_out(run: Run) -> str:
    """What to do about a run that lacks something."""
    possible = [piece.name for piece in PIECES if not lacks(run, piece)]
    also = f", or make what it is far enough for: {', '.join(possible)}" if possible else ""
    return f"finish the run with the command that began it{also}"


__all__ = ["ALL", "SEEDS", "collect_evidence", "evidence_state", "read_evidence"]
