"""Run independent work, such as one task per image, in several processes with one BLAS thread each.

With one BLAS thread, small matrices are faster, and workers don't compete for cores. The processes are joblib's on this
machine or, inside `cluster`, the workers of a Dask cluster on any number of machines.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from tinysegrank.cluster import active_client, cluster_map
from tinysegrank.errors import WorkerError, plain_warnings
from tinysegrank.plugins import VARIABLE as PLUGINS
from tinysegrank.plugins import load_plugins

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_WATCH_SECONDS = 0.2  # between two looks of a worker whether its command is still there
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # mallopt's numbers for them
_MEMORY = 2_700_000_000  # bytes that the arrays of all processes of one `parallel_map` may take
_item_number = 0

Item = TypeVar("Item")
Result = TypeVar("Result")


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Make the C library reuse the memory of freed large arrays for new ones; return whether that worked.

    By default the library returns the memory to the kernel, which has to zero it again for the next array; this took a
    sixth of the time of a training step. Peak memory stays the same. Only GNU's C library can do this.
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


def jobs_that_fit(jobs: int, size: int) -> int:
    """Return how many of `jobs` processes fit into 2.7 GB if each holds arrays of `size` bytes; at least 1."""
    return max(1, min(jobs, _MEMORY // max(size, 1)))


def parallel_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    jobs: int,
    on_cluster: bool = True,
    advance: Callable[[int], None] | None = None,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of the items; the results are the same for any `jobs`.

    Args:
        function: called in a worker process with one BLAS thread; the process must be able to import it.
        items: the function's arguments; keep them small, as they are pickled.
        jobs: number of processes on this machine; 1 runs in this process.
        on_cluster: inside `cluster`, use its workers instead of `jobs` processes; pass False for work whose arguments
            or results are large.
        advance: called with 1 for each result.

    Raises:
        WorkerError: a worker process of this machine crashed or was killed.
        ConfigError: see `cluster_map`.
    """
    with closing(_results(function, items, jobs, on_cluster)) as results:
        for result in results:
            if advance is not None:
                advance(1)
            yield result


def _results(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int, on_cluster: bool
) -> Generator[Result]:
    from joblib import Parallel, delayed
    from joblib.externals.loky.backend import utils

    utils._posix_recursive_kill = utils._kill  # without psutil it would run `pgrep`; workers have no children
    call = partial(_call, function, os.environ.get(PLUGINS, ""))
    client = active_client.get() if on_cluster else None
    if client is not None:
        yield from cluster_map(client, call, items)
    elif jobs == 1:
        yield from map(call, items)
    else:
        calls = (delayed(call)(item, number) for number, item in enumerate(items))
        with _blocked_signals():  # new processes start with them blocked
            results = Parallel(n_jobs=jobs, return_as="generator", initializer=_follow, initargs=(os.getpid(),))(calls)
        try:
            for result in results:  # noqa: UP028  # `yield from` would close it before the warning is silenced
                yield result
        except BrokenProcessPool as error:
            ends = ", ".join(sorted(set(re.findall(r"SIG[A-Z]+|EXIT\(\d+\)", str(error)))))
            if not ends:  # a task that cannot be pickled, say
                raise
            cause = ", most likely for lack of memory" if "SIGKILL" in ends else ""
            raise WorkerError(
                f"a worker process was killed ({ends}){cause}; repeat the command with --jobs below {jobs}: "
                "finished work is kept"
            ) from error
        finally:
            with warnings.catch_warnings(action="ignore"), _quiet_manager():  # joblib's, that tasks were cancelled
                results.close()  # where not all results were taken, this kills the worker processes


@contextmanager
def _quiet_manager() -> Iterator[None]:
    """Hide that joblib's manager thread fails where it looks up a task that was cancelled a moment before."""
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if type(failure.thread).__name__ != "_ExecutorManagerThread" or failure.exc_type is not KeyError:
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def item_number() -> int:
    """Return the number, from 0, of the item that this worker process of joblib works on; 0 in other processes."""
    return _item_number


def _call(function: Callable[[Item], Result], plugins: str, item: Item, number: int | None = None) -> Result:
    global _item_number
    _item_number = _item_number if number is None else number
    os.environ[PLUGINS] = plugins  # of the command, where this is a worker process
    load_plugins()
    return one_blas_thread(function, item)


@contextmanager
def _blocked_signals() -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    _start_trackers()  # now, as starting them would unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_trackers() -> None:
    """Start the processes that clean up after killed workers, with their warnings about this silenced."""
    from joblib.externals.loky.backend.resource_tracker import ensure_running

    given = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (given, "ignore:resource_tracker")))
    try:
        ensure_running()
        resource_tracker.ensure_running()
    finally:
        if given is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = given


def _follow(command: int) -> None:
    """Make this worker ignore the signals that end a command, and end soon after the process `command`, its parent."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    plain_warnings()
    threading.Thread(target=_end_after, args=(command,), daemon=True).start()


def _end_after(command: int) -> None:
    while os.getppid() == command:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)  # at once: the main thread may be at work for minutes
