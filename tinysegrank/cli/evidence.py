"""The subcommands that read a finished run: the paper's evidence, and the HTML report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinysegrank.cli.group import CORES, Dask, Finished, Jobs, Json, app, workers
from tinysegrank.errors import ConfigError

if TYPE_CHECKING:
    from tinysegrank.evidence.piece import Written


@app.command()
def evidence(
    run: Finished,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Pieces of evidence to make, such as table-2, or all; without names, list them."),
    ] = None,
    seeds: Annotated[
        str, typer.Option("--seeds", help="Comma-separated seeds for the pieces that train networks.")
    ] = "0,1,2",
    as_json: Json = False,
    jobs: Jobs = CORES,
    dask: Dask = None,
) -> None:
    """Test the paper's claims on a run: write claim.md, table.md, table.csv and figure.png to RUN/evidence/NAME/."""
    from tinysegrank.cli.show import beside, console, print_json, shown
    from tinysegrank.evidence import collect_evidence, evidence_state
    from tinysegrank.experiment.run_folder import read_run

    progress = shown(beside if as_json else console)
    if not names:
        states = evidence_state(read_run(run, jobs=jobs, progress=progress))
        if as_json:
            print_json([{"name": piece.name, "title": piece.title, "state": state} for piece, state in states])
            return
        for piece, state in states:
            console.print(f"{piece.name:<16} {piece.title}: {state}", markup=False, highlight=False, soft_wrap=True)
        return
    chosen = parse_seeds(seeds)
    with workers(dask):
        found = collect_evidence(run, tuple(names), seeds=chosen, jobs=jobs, progress=progress)
    if as_json:
        print_json([_plain(made) for made in found])
        return
    for made in found:
        console.print(f"\n{made.title}", style="bold", markup=False, highlight=False)
        for claim in made.claims:
            for who, said in (("the paper", claim.paper), ("this run", claim.here), ("so", f"{claim.verdict}.")):
                console.print(f"  {who}: {said}", markup=False, highlight=False, soft_wrap=True)
        console.print(f"  {made.figure.parent}", markup=False, highlight=False, soft_wrap=True)


def _plain(made: Written) -> dict[str, Any]:
    """Return a piece of evidence as values for JSON."""
    return {
        "name": made.name,
        "title": made.title,
        "claims": [claim._asdict() for claim in made.claims],
        "columns": [column.name for column in made.table.columns],
        "rows": made.table.rows,
        "notes": made.notes,
        "figure": str(made.figure),
    }


@app.command()
def report(
    run: Finished,
    out: Annotated[Path | None, typer.Option("--out", help="Output file; RUN/report.html by default.")] = None,
    images: Annotated[
        int, typer.Option("--images", min=0, help="Show at most this many images of val, evenly spread; 0 for none.")
    ] = 500,
    jobs: Jobs = CORES,
) -> None:
    """Write a finished run, its evidence and images as one self-contained HTML file."""
    from tinysegrank.cli.show import beside, shown
    from tinysegrank.experiment.run_folder import read_run
    from tinysegrank.exporting import write_html_report

    file = out or run / "report.html"
    write_html_report(read_run(run, jobs=jobs, progress=shown(beside)), file, images=images)
    typer.echo(file)


@app.command()
def verify(run: Finished, as_json: Json = False) -> None:
    """Compare every file of a run with its checksum; list what is damaged or stale, and exit with 1 if anything is."""
    from tinysegrank.cli.show import beside, console, print_json, shown
    from tinysegrank.evidence.verify import verify as verified
    from tinysegrank.experiment.run_folder import read_run

    found = verified(read_run(run, jobs=1, progress=shown(beside if as_json else console)))
    if as_json:
        print_json(found._asdict())
    else:
        for line in found.damage:
            typer.echo(line)
        for line in found.stale:
            typer.echo(f"stale: {line}")
        rest = f"; not finished: {', '.join(found.unfinished)}" if found.unfinished else ""
        typer.echo(f"{run}: {found.files:,} files, {len(found.damage) or 'none'} damaged{rest}")
        for command in found.commands:
            typer.echo(f"next: {command}")
    if found.damage or found.stale:
        raise typer.Exit(1)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse comma-separated seeds, such as "0,1,2".

    Raises:
        ConfigError: a seed is not a non-negative integer, or has 19 digits or more.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise ConfigError(f'seeds="{text}": give comma-separated whole numbers, such as 0,1,2')
    return tuple(map(int, parts))
