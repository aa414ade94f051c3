"""A piece of evidence: the work that makes it from a run, the findings, and the files that hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.errors import CheckpointError
from tinysegrank.evidence.claims import Statements, check_claims
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import read_json, reading, write_json, write_text
from tinysegrank.reporting import Cell, Claim, Column, Table
from tinysegrank.stamps import STAMP, read_stamp

EVIDENCE = "evidence"
"""The folder of a run that holds its evidence: one folder per piece, and what several pieces share."""
RECORD, _FIGURE, _SEEDS = "evidence.json", "figure.png", "seeds.json"


class Finding(NamedTuple):
    """The result of the work on a piece: sentences of the paper, measurements to judge them by, table and figure."""

    statements: Statements  # sentences of the paper
    measured: Mapping[str, Any]  # measurements by which the sentences are judged, see `check_claims`
    table: Table
    draw: Callable[[Path], None]  # draws the figure to a PNG file
    notes: tuple[str, ...] = ()  # on how the numbers were made, where that matters for reading them


class Request(NamedTuple):
    """The arguments of the work on a piece: the run, the piece's folder, seeds, and the run folder's lock."""

    run: Run
    folder: Path  # of the piece, whose work may also store intermediate results there
    seeds: tuple[int, ...]  # of its trainings
    lock: FolderLock  # of the run folder


@dataclass(frozen=True)
class Piece:
    """A piece of the paper's evidence: its name and title, the work that makes it, and what the work depends on."""

    name: str  # of the piece and its folder
    title: str  # what it shows, and its place in the paper
    work: Callable[[Request], Finding]
    needs: tuple[Stage, ...]  # stages that it reads
    also: Callable[[Settings], Sequence[str]] = lambda settings: ()  # noqa: ARG005  # names of further stages

    seeded: bool = False  # whether it trains, once for each seed
    settings: Callable[[Settings], Any] = lambda settings: None  # noqa: ARG005  # those that only this piece depends on

    def stages(self, settings: Settings) -> list[str]:
        """Return the names of the stages that must be finished before the work, under these settings."""
        return [*(stage.name for stage in self.needs), *self.also(settings)]


class Written(NamedTuple):
    """A piece of evidence, read back from its files: claims with verdicts, notes, table, and the figure's path."""

    name: str
    title: str
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    table: Table
    figure: Path


def write_finding(piece: Piece, request: Request) -> None:
    """Do a piece's work; write claim.md, table.md, table.csv, figure.png, evidence.json and, if seeded, seeds.json."""
    folder, (statements, measured, table, draw, notes) = request.folder, piece.work(request)
    claims = check_claims(statements, measured, request.run.settings.report.classes)
    draw(folder / _FIGURE)
    write_text(folder / "table.md", table.to_markdown())
    write_text(folder / "table.csv", table.to_csv())
    text = [f"# {piece.title}\n"]
    text += [f"**The paper:** {one.paper}\n\n**This run:** {one.here}\n\n**So:** {one.verdict}.\n" for one in claims]
    text += ["".join(f"- {note}\n" for note in notes)] if notes else []
    write_text(folder / "claim.md", "\n".join(text))
    if piece.seeded:
        write_json(folder / _SEEDS, list(request.seeds))
    columns, rows = [[c.name, c.format] for c in table.columns], [list(map(_plain, row)) for row in table.rows]
    record: dict[str, Any] = {"name": piece.name, "title": piece.title, "claims": [one._asdict() for one in claims]}
    held = {"title": table.title, "columns": columns, "rows": rows, "note": table.note}
    record |= {"notes": list(notes), "table": held}
    write_json(folder / RECORD, record)


def _plain(cell: Cell) -> Cell:
    """Return a cell as a value for JSON: a number of NumPy becomes Python's, NaN becomes None."""
    value: Cell = cell.item() if isinstance(cell, np.generic) else cell
    return value if value == value else None


def evidence_folders(path: Path) -> set[Path]:
    """Return the folders of a run's evidence that have a stamp or a record, except those inside a finished one."""
    found = {file.parent for name in (STAMP, RECORD) for file in (path / EVIDENCE).rglob(name)}
    return {folder for folder in found if not any(up in found and read_stamp(up).complete for up in folder.parents)}


def read_seeds(folder: Path) -> tuple[int, ...]:
    """Read the seeds that a piece was made with; return () if it trains nothing or the file is missing or damaged."""
    with suppress(CheckpointError), reading(folder / _SEEDS):
        return tuple(map(int, read_json(folder / _SEEDS)))
    return ()


def read_written(folder: Path) -> Written:
    """Read a piece of evidence from its folder.

    Raises:
        CheckpointError: the record is missing or damaged.
    """
    with reading(folder / RECORD, remedy="delete it and make the piece again"):
        record = read_json(folder / RECORD)
        held = record["table"]
        columns = tuple(Column(*column) for column in held["columns"])
        table = Table(held["title"], columns, tuple(map(tuple, held["rows"])), held["note"])
        claims = tuple(Claim(**claim) for claim in record["claims"])
        return Written(record["name"], record["title"], claims, tuple(record["notes"]), table, folder / _FIGURE)
