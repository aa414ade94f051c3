"""Output of the commands on the terminal."""

from __future__ import annotations

import json
import math
import shlex
from typing import Any

from rich.console import Console

from tinysegrank.cli.group import quiet
from tinysegrank.experiment import Progress, Run, Shown, Silent, orderings, read_counts, tables
from tinysegrank.experiment.stages import report

console = Console()
beside = Console(stderr=True)
"""Where progress is shown if the output is for a program."""


def shown(on: Console) -> Progress:
    """Return a Progress that shows progress on a console, or, with --quiet, one that shows nothing."""
    return Silent() if quiet.get() else Shown(on)


def print_json(value: Any) -> None:
    """Print a value as JSON, with null for NaN and infinity, which JSON has no numbers for."""
    print(json.dumps(_finite(value), indent=2, allow_nan=False))  # not typer.echo or rich, which may wrap or colour it


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show_results(run: Run) -> None:
    """Print Table 2, whether the run's figures agree with each of the paper's orderings, and what to look at next."""
    counts = read_counts(run)
    console.print()
    console.print(tables(run, counts)["table_2"].to_rich())
    console.print("The paper's orderings, by the figures of this run, untested:")
    for line in orderings(run, counts):
        console.print(line, markup=False, highlight=False)
    console.print(f"\nTables, curves and images: {run.folder(report.STAGE.name)}", markup=False, highlight=False)
    test = f"tinysegrank evidence {shlex.quote(str(run.path))} table-2"
    console.print(f"Test them against chance: {test}", markup=False, highlight=False, soft_wrap=True)
    label = f"tinysegrank predict PHOTOGRAPH.jpg --run {shlex.quote(str(run.path))}"
    console.print(f"Label photographs: {label}", markup=False, highlight=False, soft_wrap=True)
