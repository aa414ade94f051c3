"""Progress of a long run: one line per stage, a bar where there is something to count, and how much is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

Advance = Callable[[int], None]
LINE_SECONDS = 60.0
"""Time between two lines of progress where there is no terminal to show a bar on."""
_AT_ONCE = 0.1  # seconds within which what was done before is reported
_PHOTOGRAPHS = {
    "data": 3, "trunk": 1, "features": 85, "training": 1800, "coarse": 3, "classifiers": 6,
    "superpixels": 20, "maps": 400, "upsampled": 4, "segments": 2200, "pooled": 100, "proposing": 460,
    "proposals": 240, "described": 140, "ranker": 27, "picked": 1, "evaluation": 2, "report": 5,
}  # fmt: skip
_DRAWINGS = {**_PHOTOGRAPHS, "trunk": 4000, "features": 300, "proposing": 1100, "superpixels": 400, "proposals": 400}
_FEWEST = 0.03  # share of the work done below which nothing is foretold


class Progress:
    """Receives a run's reports and shows nothing; a subclass overrides what it shows."""

    def plan(self, stages: Sequence[str], *, pretrained: bool) -> None:
        """Say which stages follow, see `Pace`."""

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


class Pace:
    """Estimates how long a command still takes, from the times of its stages so far.

    It knows how long each stage usually takes; only the ratios of these times matter.

    Args:
        stages: names of the stages, in order.
        pretrained: whether the trunk comes from a weight file; training one takes half of a small run.
    """

    def __init__(self, stages: Sequence[str], *, pretrained: bool) -> None:
        usual = _PHOTOGRAPHS if pretrained else _DRAWINGS
        self._numbers = {name: f"stage {number} of {len(stages)}: " for number, name in enumerate(stages, start=1)}
        self._left = {name: usual.get(name, 1) for name in stages}
        self._done = self._seconds = 0.0

    def number(self, name: str) -> str:
        """Return "stage 3 of 17: ", or "" for a stage that is not of the plan."""
        return self._numbers.get(name, "")

    def end(self, name: str, seconds: float | None = None) -> None:
        """Note that a stage took this long; None: it was kept, and says nothing about the pace."""
        usual = self._left.pop(name, 0)
        if seconds is not None:
            self._done, self._seconds = self._done + usual, self._seconds + seconds

    def left(self, name: str = "", seconds: float = 0.0, share: float = 0.0) -> float | None:
        """Return the seconds left of all stages, given the time and the share of the present one; None: too early."""
        now = self._left.get(name, 0) * share
        done, ahead = self._done + now, sum(self._left.values()) - now
        return (self._seconds + seconds) / done * ahead if done > _FEWEST * (done + ahead) else None


def duration(seconds: float) -> str:
    """Return a time to read, such as "40 s", "12 min" or "2 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Shown(Progress):
    """Reports on a rich console: bars on a terminal, finished lines anywhere, and a line a minute elsewhere."""

    def __init__(self, console: Any) -> None:
        self.console = console
        self._pace = Pace((), pretrained=True)
        self._stage, self._began, self._share = "", 0.0, 0.0
        self._bars: Any = None

    def plan(self, stages: Sequence[str], *, pretrained: bool) -> None:
        """Number the stages, and foretell when the last will end."""
        self._pace = Pace(stages, pretrained=pretrained)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show the time while no bar of `count` is shown, and a line with the time taken when the stage is done."""
        self._stage, self._began, self._share = name, time.perf_counter(), 0.0
        self.console.print(f"{self._pace.number(name)}[bold]{name}[/bold] ...")
        with self._bar(name, None):
            yield
        taken = time.perf_counter() - self._began
        self._pace.end(name, taken)
        self._stage = ""
        self.console.print(f"[bold]{name}[/bold] done in {taken:.0f} s{self._left()}")

    def kept(self, name: str) -> None:
        """Show that nothing had to be done."""
        self._pace.end(name)
        self.console.print(f"{self._pace.number(name)}[bold]{name}[/bold] kept")

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar with the time left, of these units and of all stages."""
        began = said = time.perf_counter()
        done = kept = 0

        def advance(units: int) -> None:
            nonlocal done, kept, said
            done, now = done + units, time.perf_counter()
            if now - began < _AT_ONCE:
                kept = done  # by an earlier command
            self._share = max(self._share, done / max(total, 1))
            left = self._left()
            update(advance=units, number=f"{done}/{total}", left=left)
            if not self.console.is_terminal and now - said >= LINE_SECONDS and done > kept:
                said = now
                of_these = duration((now - began) / (done - kept) * (total - done))
                self.say(f"{what}: {done} of {total}, about {of_these} left{left}")

        with self._bar(what, total) as update:
            yield advance

    @contextmanager
    def _bar(self, what: str, total: int | None) -> Iterator[Callable[..., None]]:
        """Show a bar on a terminal instead of the one around it; yield a function that changes it."""
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            TextColumn("{task.fields[number]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[left]}"),
        )
        around = self._bars  # rich can show only one display at a time, so bars within each other share it
        bars = around or Bars(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        with nullcontext() if around else bars:
            for other in bars.task_ids:
                bars.update(other, visible=False)
            task = bars.add_task(what, total=total, number=f"0/{total}" if total else "", left="")
            self._bars = bars
            try:
                yield partial(bars.update, task)
            finally:
                self._bars = around
                bars.remove_task(task)
                for other in bars.task_ids[-1:]:
                    bars.update(other, visible=True)

    def say(self, text: str) -> None:
        """Show a line."""
        self.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

    def _left(self) -> str:
        """Return in words how long all stages will still take, to append to a line; "" if it is not known."""
        seconds = time.perf_counter() - self._began if self._stage else 0.0
        left = self._pace.left(self._stage, seconds, self._share)
        if not left:
            return ""
        return f", about {duration(left)} in all" if self._stage else f"; about {duration(left)} left"
