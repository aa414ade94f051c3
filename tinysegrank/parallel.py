"""Work that is independent per image or per fold, spread over processes with one BLAS thread each.

Small matrices run faster with one BLAS thread, and two workers with two threads each on two cores fight. joblib brings
the backends (local processes, threads, a Dask cluster); nothing here depends on which one runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_blas_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call `function(*arguments)` with BLAS held to one thread."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return function(*arguments)


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item], *, jobs: int) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, as results come in.

    Args:
        function: called in a worker process with one BLAS thread; must be importable, and so must what it takes.
        items: the arguments, small enough to send to another process.
        jobs: number of processes; 1 runs in this process. Results are the same for any number.
    """
    from joblib import Parallel, delayed

    if jobs == 1:
        for item in items:
            yield one_blas_thread(function, item)
        return
    yield from Parallel(n_jobs=jobs, return_as="generator")(delayed(one_blas_thread)(function, item) for item in items)
