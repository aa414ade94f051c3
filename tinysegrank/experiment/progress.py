"""Progress of a long run: one line per stage, a bar for work that can be counted, and the time left."""

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
_PHOTOGRAPHS = {  # rough seconds for 1,723 images; quick, best and paper differ
    "data": 3, "trunk": 1, "features": 13, "training": 700, "coarse": 3, "classifiers": 7,
    "superpixels": 15, "maps": 50, "upsampled": 3, "segments": 700, "pooled": 95, "proposing": 300,
    "proposals": 150, "described": 120, "ranker": 30, "picked": 1, "evaluation": 3, "report": 3,
}  # fmt: skip
_DRAWINGS = {**_PHOTOGRAPHS, "trunk": 1600, "features": 115, "superpixels": 175, "upsampled": 50, "proposing": 440}
_FEWEST = 0.03  # share of the work done below which the time left is not estimated


class Progress:
    """Receives a run's reports and shows nothing; a subclass overrides what it shows."""

    def plan(self, stages: Sequence[str], *, pretrained: bool) -> None:
        """Announce the stages to come, in order; `pretrained` says whether the trunk comes from a weight file."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:  # noqa: ARG002
        """Report the start and the end of a stage, whose work is the `with` block."""
        yield

    def kept(self, name: str) -> None:
        """Report that a stage is up to date, so that its results are kept."""

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Advance]:  # noqa: ARG002
        """Report a `with` block's progress in `total` units, named `what`; yield a function to add finished units."""
        yield lambda units: None  # noqa: ARG005

    def say(self, text: str) -> None:
        """Report one line of text."""


class Silent(Progress):
    """Shows nothing."""


class Pace:
    """Estimates the time left of a command, from the times of its stages so far and from the usual times of stages.

    Only the ratios of the usual times matter.

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
        """Return a stage's place in the plan as text, such as "stage 3 of 17: "; "" if the stage is not in the plan."""
        return self._numbers.get(name, "")

    def end(self, name: str, seconds: float | None = None) -> None:
        """Note that a stage ended, and its time; None for one that was kept, since that says nothing of the pace."""
        usual = self._left.pop(name, 0)
        if seconds is not None:
            self._done, self._seconds = self._done + usual, self._seconds + seconds

    def left(self, name: str = "", seconds: float = 0.0, share: float = 0.0) -> float | None:
        """Estimate the seconds left of all stages; return None while too little is done to tell.

        Args:
            name: the present stage.
            seconds: time that it has taken so far.
            share: share of its work that is done, 0..1.
        """
        now = self._left.get(name, 0) * share
        done, ahead = self._done + now, sum(self._left.values()) - now
        return (self._seconds + seconds) / done * ahead if done > _FEWEST * (done + ahead) else None


def duration(seconds: float) -> str:
    """Return a time as text, such as "40 s", "12 min" or "2 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Shown(Progress):
    """Shows progress on a rich console: a line per stage; within it, a bar on a terminal, elsewhere a line a minute."""

    def __init__(self, console: Any) -> None:
        self.console = console
        self._pace = Pace((), pretrained=True)
        self._stage, self._began, self._share = "", 0.0, 0.0
        self._bars: Any = None

    def plan(self, stages: Sequence[str], *, pretrained: bool) -> None:
        """Number the stages from here on, and estimate the time left of all of them."""
        self._pace = Pace(stages, pretrained=pretrained)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Print a line when the stage begins and one with its time when it ends; show a running time in between."""
        self._stage, self._began, self._share = name, time.perf_counter(), 0.0
        self.console.print(f"{self._pace.number(name)}[bold]{name}[/bold] ...")
        with self._bar(name, None):
            yield
        taken = time.perf_counter() - self._began
        self._pace.end(name, taken)
        self._stage = ""
        self.console.print(f"[bold]{name}[/bold] done in {taken:.0f} s{self._left()}")

    def kept(self, name: str) -> None:
        """Print that the stage's results are kept."""
        self._pace.end(name)
        self.console.print(f"{self._pace.number(name)}[bold]{name}[/bold] kept")

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar of `total` units, or a line a minute without a terminal, with the time left for it and in all."""
        began = said = time.perf_counter()
        done = kept = 0

        def advance(units: int) -> None:
            nonlocal done, kept, said
            done, now = done + units, time.perf_counter()
            if now - began < _AT_ONCE:
                kept = done  # by an earlier command
            of_these = (now - began) / (done - kept) * (total - done) if done > kept else 0.0
            if done > kept:  # of the stage's time, as if it ended with these units
                self._share = 1 - of_these / max(now - self._began + of_these, _AT_ONCE)
            left = self._left()
            update(advance=units, number=f"{done}/{total}", left=left)
            if not self.console.is_terminal and now - said >= LINE_SECONDS and done > kept:
                said = now
                self.say(f"{what}: {done} of {total}, about {duration(of_these)} left{left}")

        with self._bar(what, total) as update:
            yield advance

    @contextmanager
    def _bar(self, what: str, total: int | None) -> Iterator[Callable[..., None]]:
        """Show a bar on a terminal, hiding that of an outer block meanwhile; yield a function that updates the bar."""
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
        """Print a line of text."""
        self.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

    def _left(self) -> str:
        """Return the time left of all stages as text to append to a line; "" if it cannot be estimated yet."""
        seconds = time.perf_counter() - self._began if self._stage else 0.0
        left = self._pace.left(self._stage, seconds, self._share)
        if not left:
            return ""
        return f", about {duration(left)} in all" if self._stage else f"; about {duration(left)} left"
