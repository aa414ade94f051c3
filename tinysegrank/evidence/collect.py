"""Make the pieces of a run's evidence that are missing or stale."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from tinysegrank.backend import VARIABLE, check_backends
from tinysegrank.errors import CheckpointError, ConfigError
from tinysegrank.evidence import ablation, background_term, figure_2, losses, over_seeds, single_images, tables
from tinysegrank.evidence.piece import (
    EVIDENCE,
    Piece,
    Request,
    Written,
    evidence_folders,
    read_seeds,
    read_written,
    write_finding,
)
from tinysegrank.experiment import artifacts
from tinysegrank.experiment.artifacts import Condition
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.runner import Run
from tinysegrank.stamps import STAMP, Key, read_stamp

ALL, SEEDS = "all", (0, 1, 2)
PIECES = [
    *tables.PIECES,
    ablation.PIECE,
    figure_2.PIECE,
    losses.FROM_SCRATCH,
    *single_images.PIECES,
    losses.FIGURE_6,
    background_term.PIECE,
    *over_seeds.PIECES,
]
"""All pieces of evidence, in the order of the paper's tables and figures; append one of your own."""
MADE, EARLIER = "made", "made from earlier results"
_MADE = {
    Condition.FRESH: MADE,
    Condition.STALE: EARLIER,
    Condition.OTHER_CODE: "made by other code",
    Condition.DAMAGED: "made, but files are missing or changed",
}


def collect_evidence(
    path: Path, names: tuple[str, ...], *, seeds: tuple[int, ...] = SEEDS, jobs: int, progress: Progress
) -> list[Written]:
    """Make pieces of a run's evidence as RUN/evidence/NAME/{claim.md, table.md, table.csv, figure.png}; return them.

    Pieces made from the same results and seeds by the same code are kept; interrupted trainings are resumed. "all"
    makes every piece for which the run has the stages, and says which it leaves out.

    Args:
        path: the run folder.
        names: names of the pieces, or "all".
        seeds: seeds for the pieces that train.
        jobs: number of worker processes; the results are the same for any.

    Raises:
        CheckpointError: the folder isn't a run, a stage is damaged or stale, or the run lacks what a piece needs (with
            "all", what every piece needs).
        ConfigError: a piece is unknown, seeds are missing or duplicated, the settings cannot be read, the run was
            computed by another backend than the present one, or another process is at work on the run.
        BackendError: the backend cannot be used.
        OutputError: the run folder cannot be written.
        TrainingError, MemoryShortageError: see `execute`.
    """
    kind = check_backends().kind
    known = [piece.name for piece in PIECES]
    if unknown := [name for name in names if name not in (*known, ALL)]:
        raise ConfigError(f'evidence "{unknown[0]}": choose one of {", ".join(known)}, or {ALL}')
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds={list(seeds)}: give at least one, each once")
    run = read_run(path, jobs=jobs, progress=progress)
    if kind != run.settings.backend:
        raise ConfigError(
            f"{path}: was computed by {run.settings.backend}, and {VARIABLE} now names {kind}; set it as it was for "
            "the run, or the evidence would mix the two"
        )
    pieces = [piece for piece in PIECES if piece.name in names or ALL in names]
    lacking = {piece.name: what for piece in pieces if (what := _lacks(run, piece))}
    asked_for = [name for name in names if name in lacking]
    if asked_for or len(lacking) == len(pieces):
        name = (asked_for or list(lacking))[0]
        possible = ", ".join(piece.name for piece in PIECES if not _lacks(run, piece))
        also = f"make what it is far enough for ({possible}), or " if possible else ""
        raise CheckpointError(f"{path}: {name} needs {lacking[name]}; {also}finish the run by: {run.command}")
    for name, what in lacking.items():
        progress.say(f"{name} left out: it needs {what}")
    made = []
    with FolderLock(path) as lock:
        for folder in evidence_folders(path) - {run.folder(EVIDENCE) / piece.name for piece in PIECES}:
            if artifacts.damaged_files(folder):  # what pieces share is made anew when one needs it
                lock.hold()
                shutil.rmtree(folder)
        for piece in (piece for piece in pieces if piece.name not in lacking):
            folder, key, condition = _inspect(run, piece, seeds)
            if condition is Condition.FRESH:
                artifacts.renew_times(folder, lock)
                progress.kept(piece.name)
            else:
                run.require(piece.stages(run.settings), piece.name)
                lock.hold()
                (folder / STAMP).unlink(missing_ok=True)
                with progress.stage(piece.name):
                    work = partial(write_finding, piece, Request(run, folder, seeds, lock))
                    artifacts.make(folder, key, work, parts=piece.seeded)  # trainings have stamps of their own
            made.append(read_written(folder))
    return made


def _lacks(run: Run, piece: Piece) -> str:
    """Return as text which stages a piece needs that are not finished; "" if all are."""
    return run.unfinished(piece.stages(run.settings))


def _inspect(run: Run, piece: Piece, seeds: tuple[int, ...] | None = None) -> tuple[Path, Key, Condition]:
    """Return a piece's folder, the key it should have under these seeds (None: its own), and its condition."""
    folder, settings = run.folder(EVIDENCE) / piece.name, run.settings
    seeds = read_seeds(folder) if seeds is None else seeds
    own = [settings.report.classes, settings.ranking, settings.seed, piece.settings(settings)]
    inputs = {stage.name: run.content(stage.name) for stage in piece.needs}
    work = piece.work.func if isinstance(piece.work, partial) else piece.work
    key = artifacts.key([piece.name, own, seeds if piece.seeded else ()], inputs, work.__module__)
    return folder, key, artifacts.inspect(folder, key)


def evidence_state(run: Run) -> list[tuple[Piece, str]]:
    """Return each piece with its state as text, such as "made", "made by other code", "can be made" or "needs ..."."""
    states = []
    for piece in PIECES:
        (folder, _, condition), what = _inspect(run, piece), _lacks(run, piece)
        made = Condition.STALE if what and condition is Condition.FRESH else condition
        not_made = f"needs {what}" if what else "can be made"
        states.append((piece, _MADE[made] if read_stamp(folder).complete else not_made))
    return states


def read_evidence(run: Run) -> list[tuple[Written, str]]:
    """Read the pieces made so far, in the order of PIECES, each with its state, see `evidence_state`.

    Raises:
        CheckpointError: a file of a piece is missing or damaged.
    """
    made = [
        (run.folder(EVIDENCE) / piece.name, state) for piece, state in evidence_state(run) if state.startswith(MADE)
    ]
    for folder, _ in made:
        artifacts.check_damage(folder)
    return [(read_written(folder), state) for folder, state in made]
