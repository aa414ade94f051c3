"""Progress of a long run: one line per stage, with a bar where there is something to count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Advance = Callable[[int], None]


class Progress:
    """Where a run reports to. A subclass overrides what it shows; this class shows nothing."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:  # noqa: ARG002
        """Surround the work of a stage."""
        yield

    def kept(self, name: str) -> None:
        """Report that a stage's results are kept."""

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Advance]:  # noqa: ARG002
        """Surround work of `total` units; yield a function that adds finished units."""
        yield lambda units: None  # noqa: ARG005

    def say(self, text: str) -> None:
        """Report one line of text."""


class Silent(Progress):
    """Reports nothing."""


class Shown(Progress):
    """Reports on a rich console: bars on a terminal, finished lines anywhere."""

    def __init__(self, console: Any) -> None:
        self.console = console

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show a line with the time taken when the stage is done."""
        started = time.perf_counter()
        self.console.print(f"[bold]{name}[/bold] ...")
        yield
        self.console.print(f"[bold]{name}[/bold] done in {time.perf_counter() - started:.0f} s")

    def kept(self, name: str) -> None:
        """Show that nothing had to be done."""
        self.console.print(f"[bold]{name}[/bold] kept")

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar with the time left."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bars:
            task = bars.add_task(what, total=total)
            yield lambda units: bars.advance(task, units)

    def say(self, text: str) -> None:
        """Show a line."""
        self.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)
