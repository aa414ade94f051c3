"""A piece of evidence as files: claim.md, table.md, table.csv, figure.png, and evidence.json to read it back from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.errors import CheckpointError
from tinysegrank.evidence.pieces import Claim, Finding
from tinysegrank.files import read_json, write_json, write_text
from tinysegrank.reporting import Cell, Column, Table

RECORD, FIGURE = "evidence.json", "figure.png"


class Written(NamedTuple):
    """A piece of evidence read back."""

    name: str
    title: str
    claims: tuple[Claim, ...]
    table: Table
    notes: tuple[str, ...]
    figure: Path


def write_finding(folder: Path, name: str, title: str, finding: Finding) -> None:
    """Write the five files, the record last."""
    table = finding.table
    finding.draw(folder / FIGURE)
    write_text(folder / "table.md", table.to_markdown())
    write_text(folder / "table.csv", table.to_csv())
    write_text(folder / "claim.md", claim_text(title, finding))
    record: dict[str, Any] = {
        "name": name,
        "title": title,
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
    """What JSON holds: no NumPy number, and nothing in place of NaN."""
    if cell is None or isinstance(cell, str):
        return cell
    number = cell.item() if isinstance(cell, np.generic) else cell
    return None if number != number else number


def claim_text(title: str, finding: Finding) -> str:
    """The claims as Markdown: what the paper says, what this run shows, and whether they agree."""
    parts = [f"# {title}\n"]
    for claim in finding.claims:
        parts.append(f"**The paper:** {claim.paper}\n\n**This run:** {claim.here}\n\n**So:** {claim.verdict}.\n")
    if finding.notes:
        parts.append("".join(f"- {note}\n" for note in finding.notes))
    return "\n".join(parts)


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
