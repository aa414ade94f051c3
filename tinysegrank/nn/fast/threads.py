"""Share work between as many threads as BLAS may use.

`share` gives jobs to a pool of threads. Inside compiled code, `jobs` does the same for each stage of a longer
computation, with a barrier at its end. A thread takes its next job from a counter. So a thread that the operating
system suspends delays the others only in the middle of a job, and a thread that arrives late finds nothing left to do.
Work is split into the same jobs for any number of threads, and no two jobs write to the same memory, so that results
are the same to the bit.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from itertools import count
from typing import Any

import numpy as np
from numba import types
from threadpoolctl import LibController, ThreadpoolController

from tinysegrank.compiled import compiled, intrinsic
from tinysegrank.nn.arguments import Pair

JOBS = 16  # maximum number of jobs per stage
JOB = 2**14  # minimum number of array entries per job in compiled code
TASK = 2**17  # the same for jobs that Python calls
PATIENCE = 1000  # looks at the counter before a waiting thread starts to yield its processor, about 10 us


def share(function: Callable[[int, int], object], units: int, numbers: int) -> None:
    """Call `function(start, stop)` on several threads, for jobs that together cover units 0..units-1 once.

    The number of jobs depends on `numbers`, the number of array entries that all units work on. If jobs raise errors,
    one of these is raised here.
    """
    number, taken = min(units, JOBS, max(1, numbers // TASK)), count()

    def work() -> None:
        while (job := next(taken)) < number:
            function(units * job // number, units * (job + 1) // number)

    _together(work, number)


def run_stages(function: Callable[[np.ndarray], object], stages: int, *, alone: bool = False) -> None:
    """Call `function(queue)` on all threads at once or, with `alone`, on this one; it calls `jobs` for each stage."""
    queue = np.zeros((stages, 2), np.int64)
    _together(partial(function, queue), 1 if alone else JOBS)


def threads() -> int:
    """Return the number of threads that share work: those of BLAS, but at most one for each processor available."""
    return min([_processors(), *(int(library.num_threads) for library in blas_libraries())])


def _together(work: Callable[[], object], jobs: int) -> None:
    count = min(threads(), jobs) - 1
    elsewhere = _other_processors() if count > 0 else set()
    helpers = [_pool(os.getpid()).submit(_help, work, elsewhere) for _ in range(count)]
    try:
        work()
    finally:
        started = [helper for helper in helpers if not helper.cancel()]  # no job is left for the others
    for helper in started:
        helper.result()


def _help(work: Callable[[], object], elsewhere: set[int]) -> None:
    """Call `work` on this thread, pinned to the processors `elsewhere`: a busy system might use the caller's."""
    if elsewhere:
        with suppress(OSError):  # a sandbox may forbid it, or processors may be gone
            os.sched_setaffinity(0, elsewhere)
    work()


def _other_processors() -> set[int]:
    """Return the processors that this thread may use, except the one it runs on; an empty set if they are unknown."""
    if not hasattr(os, "sched_getaffinity"):
        return set()
    return os.sched_getaffinity(0) - {_getcpu()()}


@lru_cache(maxsize=1)
def _getcpu() -> Callable[[], int]:
    return ctypes.CDLL(None).sched_getcpu


@compiled(error_model="numpy")
def jobs(queue: np.ndarray, stage: int | np.int64, units: int, numbers: int) -> Iterator[Pair]:
    """Yield jobs (start, stop) of a stage for this thread, and wait until the jobs of all threads are done.

    All jobs together cover units 0..units-1 once. Their number depends on `numbers`, the number of array entries that
    all units work on.

    queue | (stages, 2) | int64 | jobs taken and jobs done of each stage, 0 at first; one array for all threads
    """
    number = max(1, min(units, JOBS, numbers // JOB))
    taken, done = queue[stage, :1], queue[stage, 1:]
    job = _add_one(taken)
    while job < number:
        yield units * job // number, units * (job + 1) // number
        _add_one(done)
        job = _add_one(taken)
    looks = 0
    while _look(done) < number:
        looks += 1
        if looks > PATIENCE:
            _let_others_run()


@intrinsic
def _add_one(_: Any, array: Any) -> Any:  # numba calls this with types, and uses the code generator it returns
    """Atomically increment array[0]; return the previous value."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", place, context.get_constant(types.int64, 1), "seq_cst")

    return types.int64(array), code


@intrinsic
def _look(_: Any, array: Any) -> Any:
    """Atomically read array[0]."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(array), code


if hasattr(os, "sched_yield"):
    _let_others_run = types.ExternalFunction("sched_yield", types.int32())
else:

    @compiled(error_model="numpy")
    def _let_others_run() -> None:
        """Do nothing: this system has no call to yield the processor."""


def _processors() -> int:
    """Return the number of processors that this process may use; a waiting thread spins, so it needs its own."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, _quota())


@lru_cache(maxsize=1)
def _quota() -> int:
    """Return the process's CPU quota, for instance a container's, in whole processors."""
    import joblib

    return int(joblib.cpu_count())


@lru_cache(maxsize=1)
def blas_libraries() -> list[LibController]:
    """Return threadpoolctl's controllers of the BLAS libraries that the process had loaded at the first call."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - threads do not outlive a fork
    """Return the thread pool of this process, whose id is `process`; threads start when they are first needed."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="tinysegrank")
