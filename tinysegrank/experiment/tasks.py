"""Work of a stage that is done task by task in worker processes, under a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tinysegrank.experiment.images import SPLITS, ImageOfRun, images_of
from tinysegrank.experiment.runner import Run
from tinysegrank.parallel import jobs_that_fit, parallel_map

Task = TypeVar("Task")
Result = TypeVar("Result")


def _one(task: Any) -> int:  # noqa: ARG001
    return 1


def map_tasks(
    run: Run,
    what: str,
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    units: Callable[[Task], int] = _one,
    done: int = 0,
    size: int = 0,
) -> Iterator[Result]:
    """Yield a function's result for each task, in order.

    Args:
        run: says how many processes, and where to report.
        what: the units counted, in words.
        function: called in worker processes; must be importable.
        tasks: its arguments.
        units: how many units a task stands for.
        done: units that were done before.
        size: bytes of the arrays that one call holds; fewer processes run at once if these are many.
    """
    with run.progress.count(what, done + sum(map(units, tasks))) as advance:
        advance(done)
        results = parallel_map(function, tasks, jobs=jobs_that_fit(run.jobs, size))
        for task, result in zip(tasks, results, strict=True):
            yield result
            advance(units(task))


def do_missing(
    run: Run,
    what: str,
    function: Callable[[Task], Any],
    tasks: Sequence[Task],
    files: Callable[[Task], Iterable[Path]],
    *,
    units: Callable[[Task], int] = _one,
    size: int = 0,
) -> None:
    """Call a function for each task that has not been done.

    Args:
        run, what, function, tasks, units, size: as for `map_tasks`.
        files: returns the files that the function writes for a task, or folders that appear once they are complete.
    """
    missing = [task for task in tasks if not all(file.exists() for file in files(task))]
    done = sum(map(units, tasks)) - sum(map(units, missing))
    for _ in map_tasks(run, what, function, missing, units=units, done=done, size=size):
        pass


def do_missing_images(run: Run, function: Callable[[ImageOfRun], Any], stage: str, ending: str) -> None:
    """Call a function for each image of both splits whose file, `ImageOfRun.file(stage, ending)`, is missing."""
    for which in SPLITS:
        do_missing(run, f"{which} images", function, images_of(run, which), lambda image: [image.file(stage, ending)])
