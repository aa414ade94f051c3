"""Execute the cells of a page, and compare what they print with the page."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from notebooks import HERE, Cell, notebook

DECIMAL = re.compile(r"-?\d+\.\d*")


def run_cells(cells: list[Cell], folder: Path) -> None:
    """Execute cells in a folder; they must print what the page says, and warn of nothing."""
    made = nbformat.from_dict(notebook(cells))
    nbformat.validate(made)
    paths = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    environment.pop("TINYSEGRANK_VOC", None)  # pages that would take photographs draw a toy VOC, which takes a minute
    client = NotebookClient(made, timeout=600, resources={"metadata": {"path": str(folder)}})
    done = client.execute(env=environment)
    for cell, ran in zip(cells, done.cells, strict=True):
        outputs = ran.get("outputs", [])
        assert not [each for each in outputs if each.get("name") == "stderr"], f"{cell.source}\nwarns:\n{outputs}"
        if cell.prints:
            printed = "".join(each.get("text", "") for each in outputs)
            printed += "".join(each.data["text/plain"] for each in outputs if each.output_type == "execute_result")
            assert same(cell.prints, printed), f"{cell.source}\nprints\n{printed}\nbut the page says\n{cell.prints}"


def same(expected: str, printed: str) -> bool:
    """Compare texts, decimals to one in the last digit and to the same number of digits; "..." stands for anything."""
    expected, printed = (re.sub(r"\s+", " ", text).strip() for text in (expected, printed))
    pattern = "".join(
        rf"(-?\d+\.\d{{{len(piece.partition('.')[2])}}}(?!\d))" if DECIMAL.fullmatch(piece) else
        re.escape(piece).replace(re.escape("..."), ".*")
        for piece in re.split(rf"({DECIMAL.pattern})", expected)
    )  # fmt: skip
    found = re.fullmatch(pattern, printed)
    if found is None:
        return False
    decimals = DECIMAL.findall(expected)
    return all(
        abs(Decimal(a) - Decimal(b)) <= Decimal(1).scaleb(-len(a.partition(".")[2]))
        for a, b in zip(decimals, found.groups(), strict=True)
    )
