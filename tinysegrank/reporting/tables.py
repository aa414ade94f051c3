"""A table of text and numbers that is written as Markdown, as CSV and for the terminal."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinysegrank.errors import ShapeError

if TYPE_CHECKING:
    import rich.table

Cell = str | int | float | None

_NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A column's heading and the format specification of its numbers, such as ".1f" or "d"."""

    name: str
    format: str = ".1f"


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings. None and NaN are shown as a dash; columns without text are right-aligned.

    Raises:
        ShapeError: a row has more or fewer cells than there are columns.
    """

    title: str  # above the table
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""  # under the table

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ShapeError(f"row {number} of {self.title!r}: {len(row)} cells for {len(self.columns)} columns")

    def to_markdown(self) -> str:
        """Return title, table and note as GitHub Markdown, with cells padded to the width of their column."""
        text = [[column.name for column in self.columns], *self.formatted()]
        text = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in text]
        widths = [max(3, *map(len, column)) for column in zip(*text, strict=True)]
        right = self.numeric()

        def line(cells: list[str]) -> str:
            padded = [f"{c:>{w}}" if r else f"{c:<{w}}" for c, w, r in zip(cells, widths, right, strict=True)]
            return f"| {' | '.join(padded)} |\n"

        rule = line(["-" * (width - 1) + ":" if r else "-" * width for width, r in zip(widths, right, strict=True)])
        body = line(text[0]) + rule + "".join(map(line, text[1:]))
        return f"**{self.title}**\n\n{body}" + (f"\n{self.note}\n" if self.note else "")

    def to_csv(self) -> str:
        """Return headings and rows as CSV, with numbers in full precision; None and NaN are empty fields."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([column.name for column in self.columns])
        for row in self.rows:  # a NumPy float would be written with the name of its type
            cells = (float(cell) if isinstance(cell, float) else cell for cell in row)
            writer.writerow(["" if _missing(cell) else cell for cell in cells])
        return stream.getvalue()

    def to_rich(self) -> rich.table.Table:
        """Return the table as a rich table, to print on a terminal."""
        from rich.table import Table as RichTable
        from rich.text import Text  # cells are not markup

        table = RichTable(title=Text(self.title), caption=Text(self.note) if self.note else None)
        for column, right in zip(self.columns, self.numeric(), strict=True):
            table.add_column(Text(column.name), justify="right" if right else "left")
        for row in self.formatted():
            table.add_row(*map(Text, row))
        return table

    def numeric(self) -> list[bool]:
        """Return for each column whether it has no text; False for all if there are no rows."""
        return [
            bool(self.rows) and not any(isinstance(row[i], str) for row in self.rows) for i in range(len(self.columns))
        ]

    def formatted(self) -> list[list[str]]:
        """Return the cells as formatted text, row by row."""
        return [
            [_show(cell, column.format) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows
        ]


def _missing(cell: Cell) -> bool:
    return cell is None or (not isinstance(cell, str) and math.isnan(cell))


def _show(cell: Cell, specification: str) -> str:
    if isinstance(cell, str):
        return cell
    return _NOTHING if cell is None or _missing(cell) else format(cell, specification)
