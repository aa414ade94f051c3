"""The command group that all subcommands join, and the options that several of them have."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Annotated, Any

import typer

from tinysegrank import __version__
from tinysegrank.cli.interrupts import interrupts
from tinysegrank.errors import TinySegRankError
from tinysegrank.plugins import load_plugins

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Jobs = Annotated[
    int, typer.Option("--jobs", min=1, help="Number of worker processes; the results do not depend on it.")
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Run on the Dask cluster of this scheduler, such as tcp://host:8786, instead of in --jobs processes.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class _Commands(typer.core.TyperGroup):
    """A command group that prints errors as one line, and replaces characters that the terminal cannot show."""

    def main(self, *args: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
                stream.reconfigure(errors="replace")
        try:
            load_plugins()
            return super().main(*args, **options)
        except TinySegRankError as error:
            message = f"{error}"
        except MemoryError as error:
            message = f"out of memory ({error}); repeat the command with fewer --jobs: finished work is kept"
        except OSError as error:  # never of a closed pipe: there typer exits quietly
            place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            message = f"{place}{error.strerror or error}; fix this and repeat the command: finished work is kept"
        typer.secho(f"error: {message}", fg="red", err=True)
        sys.exit(1)

    def invoke(self, ctx: Any) -> Any:
        try:
            with interrupts():
                result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # now, while an error can still be shown
            return result
        except KeyboardInterrupt as interrupt:
            number = signal.Signals(*interrupt.args or (signal.SIGINT,))
        by = "" if number == signal.SIGINT else f" by {number.name}"
        again = "with --force" if ctx.invoked_subcommand in ("predict", "export") else "to resume"
        with suppress(OSError):  # its terminal may be closed
            typer.secho(f"interrupted{by}; finished work is kept: repeat the command {again}", err=True)
        raise typer.Exit(128 + number)


app = typer.Typer(
    name="tinysegrank",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Semantic segmentation by ranking graphical-model proposals with a small ConvNet, from scratch on NumPy.",
)


def workers(dask: str | None) -> AbstractContextManager[Any]:
    """Return a context in which tasks run on the Dask cluster at this address; with None it changes nothing."""
    if dask is None:
        return nullcontext()
    from tinysegrank.cluster import cluster

    return cluster(dask)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"tinysegrank {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[  # handled by its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Semantic segmentation by ranking graphical-model proposals with a small ConvNet."""
