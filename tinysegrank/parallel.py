"""Run independent work, such as one task per image, in several processes with one BLAS thread each.

With one BLAS thread, small matrices are faster, and workers don't compete for cores. The processes are joblib's on this
machine or, inside `cluster`, the workers of a Dask cluster on any number of machines.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

from tinysegrank.cluster import active_cluster
from tinysegrank.errors import WorkerError

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # mallopt's numbers for them

Item = TypeVar("Item")
Result = TypeVar("Result")


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Make the C library keep the memory of large arrays when they are freed, and reuse it for new ones.

    By default it returns the memory to the kernel, which has to zero it again for the next array; this took a sixth of
    the time of a training step. Peak memory stays the same.

    Returns:
        Whether it worked; it needs GNU's C library, and nothing is done elsewhere.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    kept = bool(mallopt(_MMAP_THRESHOLD, 2**30) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
    if kept and (processes := sys.modules.get("joblib.externals.loky.process_executor")):
        # where psutil is installed, joblib restarts a worker whose memory grows, and would take this for a leak
        processes._MAX_MEMORY_LEAK_SIZE = float("inf")  # type: ignore[attr-defined]
    return kept


def one_blas_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return `function(*arguments)`, called with BLAS limited to one thread and with `keep_freed_memory`."""
    from threadpoolctl import threadpool_limits

    keep_freed_memory()
    with threadpool_limits(limits=1):
        return function(*arguments)


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, jobs: int, on_cluster: bool = True
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, as results come in; the same for any number of processes.

    Args:
        function: called in a worker process with one BLAS thread; the process must be able to import it.
        items: its arguments, which are pickled, so they should be small.
        jobs: number of processes on this machine; 1 runs in this process.
        on_cluster: inside `cluster`, use its workers instead of `jobs` processes; pass False for work whose arguments
            or results are large.

    Raises:
        WorkerError: the operating system killed a worker process of this machine.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    cluster = active_cluster() if on_cluster else None
    if cluster is not None:
        yield from cluster.map(one_blas_thread, function, items)
    elif jobs == 1:
        for item in items:
            yield one_blas_thread(function, item)
    else:
        calls = (delayed(one_blas_thread)(function, item) for item in items)
        try:
            yield from Parallel(n_jobs=jobs, return_as="generator")(calls)
        except TerminatedWorkerError as error:
            signals = ", ".join(sorted(set(re.findall(r"SIG[A-Z]+", str(error))))) or "signal unknown"
            cause = ", most likely for lack of memory" if "SIGKILL" in signals else ""
            raise WorkerError(
                f"a worker process was killed ({signals}){cause}; repeat the command with --jobs below {jobs}: "
                "finished work is kept"
            ) from error
