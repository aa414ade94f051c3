"""Output of the commands on the terminal."""

from __future__ import annotations

from rich.console import Console

from tinysegrank.experiment import Run, orderings, read_counts, tables

console = Console()


def show_results(run: Run) -> None:
    """Print Table 2, whether each of the paper's orderings holds, and the folder of the other results."""
    counts = read_counts(run)
    console.print()
    console.print(tables(run, counts)["table_2"].to_rich())
    console.print("The paper's orderings, in this run:")
    for line in orderings(run, counts):
        console.print(line, markup=False, highlight=False)
    console.print(f"\nTables, curves and images: {run.folder('report')}", markup=False, highlight=False)
