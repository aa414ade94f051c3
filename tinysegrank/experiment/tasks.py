"""Do a stage's work task by task in worker processes, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tinysegrank.experiment.images import SPLITS, ImageOfRun, images_of
from tinysegrank.experiment.runner import Run
from tinysegrank.parallel import jobs_that_fit, parallel_map

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_tasks(
    run: Run,
    what: str,
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    units: Callable[[Task], int] = lambda task: 1,  # noqa: ARG005
    done: int = 0,
    size: int = 0,
) -> Iterator[Result]:
    """Yield `function(task)` for each task, in order, and show a bar.

    Args:
        run: gives the number of processes and where to report.
        what: the units that the bar counts, in words.
        function: called in worker processes, which must be able to import it.
        tasks: arguments of the function.
        units: returns the number of units in a task; 1 by default.
        done: number of units done before.
        size: bytes of the arrays that one call holds; if they are many, fewer processes run at once.
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
    units: Callable[[Task], int] = lambda task: 1,  # noqa: ARG005
    size: int = 0,
) -> None:
    """Call a function in worker processes for each task whose files are not all there, and show a bar of all tasks.

    Args:
        run, what, function, tasks, units, size: as for `map_tasks`.
        files: returns the files that the function writes for a task, or folders that appear once they are complete.
    """
    missing = [task for task in tasks if not all(file.exists() for file in files(task))]
    done = sum(map(units, tasks)) - sum(map(units, missing))
    for _ in map_tasks(run, what, function, missing, units=units, done=done, size=size):
        pass


def do_missing_images(run: Run, function: Callable[[ImageOfRun], Any], stage: str, ending: str) -> None:
    """Call a function in worker processes for each image of both splits without its `image.file(stage, ending)`."""
    for which in SPLITS:
        do_missing(run, f"{which} images", function, images_of(run, which), lambda image: [image.file(stage, ending)])
