"""Work in stages on as many threads as BLAS may use, with BLAS itself held to one thread meanwhile.

A stage is cut alike for any number of threads, and no two jobs write to one place, so that results are the same to the
bit. Between stages a thread waits for the others in a loop, outside Python. Work in many small steps goes to a
`program`, where threads need no Python at all.
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

PATIENCE = 20_000  # looks at a counter before a thread sleeps after all, some 100 us
NAP = 5e-5  # seconds
Result = TypeVar("Result")
_lock = Lock()  # the number of BLAS threads belongs to the process: one caller at a time may change it


class Stage(NamedTuple):
    """Work on 0..units-1, in any order: `function(start, stop)` does a part of it; worth so many jobs at once."""

    function: Callable[[int, int], object]
    units: int
    jobs: int = 1

    def whole(self) -> None:
        """Do it all, on this thread."""
        self.function(0, self.units)

    def job(self, number: int) -> None:
        """Do one of the jobs."""
        self.function(self.units * number // self.jobs, self.units * (number + 1) // self.jobs)


def run_stages(stages: Sequence[Stage]) -> None:
    """Do one stage after the other, each on all threads."""
    with _lock:
        threads = min(_threads(), max((stage.jobs for stage in stages), default=1))
        shared = _Shared(stages, threads)
        with _blas().limit(limits=1):
            try:
                helpers = _ask_for_help(shared.work, threads - 1)
                errors = [shared.work()]
            except BaseException:
                shared.failed = True  # nobody waits for a thread that will not come
                raise
            errors += [helper.result() for helper in helpers]
    for error in errors:
        if error is not None:
            raise error


def helped(work: Callable[[], object], jobs: int) -> None:
    """Do work on all threads at once; it ends where there is nothing left to take, and does not fail.

    A helper that has not come by the end is not waited for.
    """
    helpers = _ask_for_help(work, min(_threads(), jobs) - 1)
    work()
    for helper in helpers:
        helper.cancel()


def _threads() -> int:
    return min([_processors(), *(int(library.num_threads) for library in blas_libraries())])


def _processors() -> int:
    """How many processors this process may use: threads that wait for each other in a loop need one each."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, _quota())


@lru_cache(maxsize=1)
def _quota() -> int:
    """How many processors the system gives this process the time of, which may be less than it may run on."""
    import joblib

    return int(joblib.cpu_count())


def _ask_for_help(work: Callable[[], Result], helpers: int) -> list[Future[Result]]:
    elsewhere = _other_processors() if helpers > 0 else set()
    return [_pool(os.getpid()).submit(_help, work, elsewhere) for _ in range(helpers)]


def _other_processors() -> set[int]:
    """The processors that this thread may use, without the one that it is on; empty where that is not known."""
    if not hasattr(os, "sched_getaffinity"):
        return set()
    return os.sched_getaffinity(0) - {_processor()}


def _help(work: Callable[[], Result], elsewhere: set[int]) -> Result:
    """Work away from the thread that asks for help: a busy system wakes a thread up where that one runs."""
    if elsewhere:
        with suppress(OSError):  # in a box that does not allow it, or has lost processors since
            os.sched_setaffinity(0, elsewhere)
    return work()


class _Shared:
    """Stages that threads do together.

    Attributes:
        failed: whether there is no use in waiting for the others.
    """

    def __init__(self, stages: Sequence[Stage], threads: int) -> None:
        self.failed = False
        self._threads = threads
        self._stages = [(stage, count(), np.zeros(1, np.int64)) for stage in stages]

    def work(self) -> BaseException | None:
        """What each thread does: take jobs until a stage has no more, then wait for the others."""
        try:
            for stage, numbers, arrivals in self._stages:
                while (number := next(numbers)) < stage.jobs:
                    stage.job(number)
                arrive(arrivals)
                while not self.failed and not arrived(arrivals, self._threads, PATIENCE):
                    time.sleep(NAP)
                if self.failed:  # another thread tells of it
                    return None
        except BaseException as error:
            self.failed = True
            return error
        return None


def blas_libraries() -> list[LibController]:
    """The BLAS libraries of this process."""
    libraries: list[LibController] = _blas().lib_controllers
    return libraries


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
    """Threads that are made when they are first needed."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="tinysegrank")


def _renew_lock() -> None:
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):  # another thread may have held it
    os.register_at_fork(after_in_child=_renew_lock)
