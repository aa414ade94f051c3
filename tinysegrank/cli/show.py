"""Output of the commands on the terminal."""

from __future__ import annotations

import shlex

from rich.console import Console

from tinysegrank.experiment import Run, orderings, read_counts, tables

console = Console()


def show_results(run: Run) -> None:
    """Print Table 2, how this run's figures compare in each of the paper's orderings, and where the rest is."""
    counts = read_counts(run)
    console.print()
    console.print(tables(run, counts)["table_2"].to_rich())
    console.print("The paper's orderings, by the figures of this run, untested:")
    for line in orderings(run, counts):
        console.print(line, markup=False, highlight=False)
    console.print(f"\nTables, curves and images: {run.folder('report')}", markup=False, highlight=False)
    test = f"tinysegrank evidence {shlex.quote(str(run.path))} table-2"
    console.print(f"What part chance may have in them: {test}", markup=False, highlight=False, soft_wrap=True)
