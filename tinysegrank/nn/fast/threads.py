"""Run work in stages on as many threads as BLAS may use, while BLAS itself is limited to one thread.

A stage is split into the same jobs for any number of threads, and no two jobs write to the same memory, so that results
are the same to the bit. Between stages the threads wait for each other at a barrier. For many small steps use a
`program`, which runs wholly in compiled code.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from itertools import count
from threading import Lock
from typing import NamedTuple, TypeVar

import numpy as np
from threadpoolctl import LibController, ThreadpoolController

from tinysegrank.nn.fast.counters import arrive, arrived

PATIENCE = 20_000  # spins before a waiting thread starts to sleep, about 100 us
NAP = 5e-5  # seconds per sleep
Result = TypeVar("Result")
_lock = Lock()  # the number of BLAS threads is global to the process, so one caller at a time may change it


class Stage(NamedTuple):
    """Work on units 0..units-1 in any order, split into jobs; `function(start, stop)` does units start..stop-1."""

    function: Callable[[int, int], object]
    units: int
    jobs: int = 1

    def whole(self) -> None:
        """Do all units on this thread."""
        self.function(0, self.units)

    def job(self, number: int) -> None:
        """Do job `number`, one of 0..jobs-1."""
        self.function(self.units * number // self.jobs, self.units * (number + 1) // self.jobs)


def run_stages(stages: Sequence[Stage]) -> None:
    """Run stages in order, each on all threads; raise the first error of a job, if any."""
    with _lock:
        threads = min(_threads(), max((stage.jobs for stage in stages), default=1))
        shared = _Shared(stages, threads)
        with _blas().limit(limits=1):
            try:
                helpers = _ask_for_help(shared.work, threads - 1)
                errors = [shared.work()]
            except BaseException:
                shared.failed = True  # or the helpers would wait for ever at a barrier
                raise
            errors += [helper.result() for helper in helpers]
    for error in errors:
        if error is not None:
            raise error


def helped(work: Callable[[], object], jobs: int) -> None:
    """Call `work` on all threads at once, this one included, and return when this thread's call does.

    `work` takes jobs from a shared counter and returns when all are done; it must not raise. Helper threads that have
    not started by then are cancelled.
    """
    helpers = _ask_for_help(work, min(_threads(), jobs) - 1)
    work()
    for helper in helpers:
        helper.cancel()


def _threads() -> int:
    return min([_processors(), *(int(library.num_threads) for library in blas_libraries())])


def _processors() -> int:
    """Return the number of processors that this process may use; threads that spin need one each."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, _quota())


@lru_cache(maxsize=1)
def _quota() -> int:
    """Return the process's CPU quota (as of a container) in processors, which may be below those it may run on."""
    import joblib

    return int(joblib.cpu_count())


def _ask_for_help(work: Callable[[], Result], helpers: int) -> list[Future[Result]]:
    elsewhere = _other_processors() if helpers > 0 else set()
    return [_pool(os.getpid()).submit(_help, work, elsewhere) for _ in range(helpers)]


def _other_processors() -> set[int]:
    """Return the processors that this thread may use except the one it runs on, or an empty set if unknown."""
    if not hasattr(os, "sched_getaffinity"):
        return set()
    return os.sched_getaffinity(0) - {_processor()}


def _help(work: Callable[[], Result], elsewhere: set[int]) -> Result:
    """Pin this thread to the processors `elsewhere`, or a busy system may run it on the caller's, and call `work`."""
    if elsewhere:
        with suppress(OSError):  # a sandbox may forbid it, or processors may be gone
            os.sched_setaffinity(0, elsewhere)
    return work()


class _Shared:
    """State of stages that several threads run together.

    Attributes:
        failed: whether a thread has failed, so that the others must not wait for it.
    """

    def __init__(self, stages: Sequence[Stage], threads: int) -> None:
        self.failed = False
        self._threads = threads
        self._stages = [(stage, count(), np.zeros(1, np.int64)) for stage in stages]

    def work(self) -> BaseException | None:
        """Run on each thread: for each stage, take jobs until none is left, then wait at a barrier.

        Return the error that a job raised on this thread, or None.
        """
        try:
            for stage, numbers, arrivals in self._stages:
                while (number := next(numbers)) < stage.jobs:
                    stage.job(number)
                arrive(arrivals)
                while not self.failed and not arrived(arrivals, self._threads, PATIENCE):
                    time.sleep(NAP)
                if self.failed:  # the thread that failed returns the error
                    return None
        except BaseException as error:
            self.failed = True
            return error
        return None


def blas_libraries() -> list[LibController]:
    """Return threadpoolctl's controllers of the BLAS libraries that this process has loaded."""
    return _blas().lib_controllers


@lru_cache(maxsize=1)
def _getcpu() -> Callable[[], int]:
    return ctypes.CDLL(None).sched_getcpu


def _processor() -> int:
    return _getcpu()()


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    import scipy.linalg.cython_blas  # noqa: F401 - the library that compiled code calls

    return ThreadpoolController().select(user_api="blas")


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - threads do not outlive a fork
    """Return the thread pool of a process, given by its id; threads start when they are first needed."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="tinysegrank")


def _renew_lock() -> None:
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):  # another thread of the parent may have held the lock
    os.register_at_fork(after_in_child=_renew_lock)
