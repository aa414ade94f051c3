"""The command group that all subcommands join, and the options that several of them have."""

from __future__ import annotations

import io
import logging
import os
import shlex
import signal
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer

from tinysegrank import __version__
from tinysegrank.cli.interrupts import interrupts
from tinysegrank.errors import TinySegRankError, out_of_memory, plain_warnings
from tinysegrank.inputs import check_run
from tinysegrank.plugins import load_plugins

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Jobs = Annotated[
    int,
    typer.Option(
        "--jobs", min=1, help="Number of worker processes; the results do not depend on it. GPU work takes one per GPU."
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Run on the Dask cluster of this scheduler, such as tcp://host:8786, instead of in --jobs processes.",
    ),
]
Finished = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.", callback=check_run)]
Update = Annotated[
    bool, typer.Option("--update", help="Change the run's settings to those given, and redo what depends on them.")
]
KeepStale = Annotated[
    bool,
    typer.Option("--keep-stale", help="Keep results that other versions of the code computed; the report says so."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing output files.")]
Skip = Annotated[
    bool, typer.Option("--skip-existing", help="Keep existing output files, and write those that are missing.")
]


quiet: ContextVar[bool] = ContextVar("quiet", default=False)
"""Whether the command was asked to show no progress."""
_QUIET = ("--quiet", "-q")
_KEPT = {  # by each command when it is interrupted; by others nothing
    "demo": "finished stages are kept, and what the present one has stored",
    "run": "finished stages are kept, and what the present one has stored",
    "evidence": "finished pieces and trainings are kept",
    "fetch": "what was downloaded is kept",
    "toyvoc": "the scenes drawn are kept",
    **dict.fromkeys(("predict", "labels", "voc", "proposals"), "the files written are kept"),
}


class _Commands(typer.core.TyperGroup):
    """A command group that loads plugins, takes --quiet anywhere, and ends with one line on an error or a signal."""

    def main(self, *args: Any, **options: Any) -> Any:
        given = args[0] if args else options.get("args")
        if given is None:  # otherwise another program has called it
            plain_warnings()
        self._given = list(sys.argv[1:] if given is None else given)
        others = [one for one in self._given if one not in _QUIET]  # --quiet may follow the subcommand
        options["args"] = ["--quiet", *others] if len(others) < len(self._given) else self._given
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
                stream.reconfigure(errors="replace")
        try:
            load_plugins()
            return super().main(*args[1:], **options)
        except TinySegRankError as error:
            message = f"{error}"
        except OSError as error:  # never of a closed pipe: there typer exits quietly
            place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            message = f"{place}{error.strerror or error}; fix this and repeat the command: finished work is kept"
        except Exception as error:
            if not out_of_memory(error):
                raise
            said = f"{error}".strip().partition("\n")[0]
            message = f"out of memory ({said}); repeat the command with fewer --jobs or smaller batches"
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
        verb = next((name for name in self._given if name not in ("export", *_QUIET)), "")
        kept, again = _KEPT.get(verb, ""), ["tinysegrank", *self._given]
        skips = "written" in kept
        if skips and not {"--force", "--skip-existing"} & set(again):
            again.append("--skip-existing")
        how = "resume with" if kept and not (skips and "--force" in again) else "this begins again"
        with suppress(OSError):  # its terminal may be closed
            typer.secho(f"interrupted{by}; {kept or 'nothing is kept'}; {how}: {shlex.join(again)}", err=True)
        raise typer.Exit(128 + number)


app = typer.Typer(
    name="tinysegrank",
    cls=_Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Semantic segmentation by ranking graphical-model proposals with a small ConvNet, from scratch on NumPy.",
)


def workers(dask: str | None) -> AbstractContextManager[Any]:
    """Return a context manager whose block's tasks run on the Dask cluster at this address; None changes nothing."""
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
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  # handled by its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    silent: Annotated[bool, typer.Option(*_QUIET, help="Show results and errors, but no progress.")] = False,
) -> None:
    """Semantic segmentation by ranking graphical-model proposals with a small ConvNet."""
    quiet.set(silent)
    if not silent:
        compiling, handler = logging.getLogger("tinysegrank.compiled_cache"), logging.StreamHandler()
        compiling.setLevel(logging.INFO)
        compiling.addHandler(handler)
        context.call_on_close(lambda: compiling.removeHandler(handler))
