"""A piece of evidence: the work that makes it from a run, what it finds, and the files that hold this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.errors import CheckpointError
from tinysegrank.evidence.claims import Claim
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import read_json, write_json, write_text
from tinysegrank.reporting import Cell, Column, Table

EVIDENCE = "evidence"
"""The folder of a run that holds its evidence: one folder per piece, and what several pieces share."""
RECORD, FIGURE, _SEEDS = "evidence.json", "figure.png", "seeds.json"


@dataclass(frozen=True)
class Finding:
    """The result of a piece of evidence: claims, table, figure and notes."""

    claims: tuple[Claim, ...]
    table: Table
    draw: Callable[[Path], None]  # the figure, to a PNG file
    notes: tuple[str, ...] = ()  # how it was done, where that matters for reading the numbers


class Request(NamedTuple):
    """A request to make a piece of evidence.

    Attributes:
        run: the run to work on.
        folder: folder of the piece, which may also store intermediate results there.
        seeds: seeds of its trainings.
        lock: lock of the run folder.
    """

    run: Run
    folder: Path
    seeds: tuple[int, ...]
    lock: FolderLock


@dataclass(frozen=True)
class Piece:
    """A piece of the paper's evidence, as work on a run.

    Attributes:
        lacks: returns what the run lacks for it apart from stages, "" if nothing; called once the stages are finished.
        settings: the part of the settings that it depends on, apart from those that all pieces depend on.
    """

    name: str  # also of its folder
    title: str  # what it shows, and its place in the paper
    work: Callable[[Request], Finding]
    needs: tuple[str, ...]  # names of the stages that it reads
    lacks: Callable[[Run], str] = field(default=lambda run: "")  # noqa: ARG005
    seeded: bool = False  # it trains, once for each seed
    settings: Callable[[Settings], Any] = field(default=lambda settings: None)  # noqa: ARG005

    @property
    def module(self) -> str:
        """The module that makes the piece."""
        return (self.work.func if isinstance(self.work, partial) else self.work).__module__


class Written(NamedTuple):
    """A piece of evidence as it was written."""

    name: str
    title: str
    claims: tuple[Claim, ...]
    table: Table
    notes: tuple[str, ...]
    figure: Path


def write_finding(piece: Piece, request: Request) -> None:
    """Do the work of a piece and write claim.md, table.md, table.csv, figure.png and the record, evidence.json."""
    folder, finding = request.folder, piece.work(request)
    table = finding.table
    finding.draw(folder / FIGURE)
    write_text(folder / "table.md", table.to_markdown())
    write_text(folder / "table.csv", table.to_csv())
    write_text(folder / "claim.md", _claims_text(piece.title, finding))
    if piece.seeded:
        write_json(folder / _SEEDS, list(request.seeds))
    record: dict[str, Any] = {
        "name": piece.name,
        "title": piece.title,
        "claims": [claim._asdict() for claim in finding.claims],
        "notes": list(finding.notes),
        "table": {
            "title": table.title,
            "columns": [[column.name, column.format] for column in table.columns],
            "rows": [list(map(_plain, row)) for row in table.rows],
            "note": table.note,
        },
    }
    write_json(folder / RECORD, record)


def _plain(cell: Cell) -> Cell:
    """Return a cell as a value for JSON: a Python number, or None instead of NaN."""
    if cell is None or isinstance(cell, str):
        return cell
    number = cell.item() if isinstance(cell, np.generic) else cell
    return None if number != number else number


def _claims_text(title: str, finding: Finding) -> str:
    parts = [f"# {title}\n"]
    for claim in finding.claims:
        parts.append(f"**The paper:** {claim.paper}\n\n**This run:** {claim.here}\n\n**So:** {claim.verdict}.\n")
    if finding.notes:
        parts.append("".join(f"- {note}\n" for note in finding.notes))
    return "\n".join(parts)


def read_seeds(folder: Path) -> tuple[int, ...]:
    """Read the seeds that a piece was made with."""
    try:
        return tuple(map(int, read_json(folder / _SEEDS)))
    except (CheckpointError, TypeError, ValueError):
        return ()


def read_written(folder: Path) -> Written:
    """Read a piece of evidence back.

    Raises:
        CheckpointError: the record is missing or damaged.
    """
    record = read_json(folder / RECORD)
    try:
        held = record["table"]
        columns = tuple(Column(*column) for column in held["columns"])
        table = Table(held["title"], columns, tuple(tuple(row) for row in held["rows"]), held["note"])
        claims = tuple(Claim(**claim) for claim in record["claims"])
        return Written(record["name"], record["title"], claims, table, tuple(record["notes"]), folder / FIGURE)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / RECORD}: is damaged ({error}); delete it and make the piece again") from error
