"""Work in stages on as many threads as BLAS may use, with BLAS itself held to one thread meanwhile.

A stage is cut alike for any number of threads, and no two jobs write to one place, so that results are the same to the
bit. Between stages a thread waits for the others in a loop, outside Python.

A lesson: such a barrier was expected to cost a few microseconds, and costs 70, as all threads come out of it at once
and one at a time may go on in Python. SegNet on one image took 13.5 ms on two threads, 8.3 of them work; with whole
convolutions outside Python (`Together`), it takes 8.7.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from threadpoolctl import LibController, ThreadpoolController

SHARES = 4  # of a line of parts, each done by one thread from its first part to its last
PATIENCE = 20_000  # looks at a counter before a thread sleeps after all, some 100 us
NAP = 5e-5  # seconds
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


class Together(NamedTuple):
    """Work that threads do outside Python, waiting for each other there: `function(thread, threads, arrivals)`.

    Each of the threads calls it once. Between Python's threads a barrier costs some 70 us, as they come out of it at
    once and only one at a time may go on in Python.
    """

    function: Callable[[int, int, np.ndarray], object]
    jobs: int = 1

    def whole(self) -> None:
        """Do it all, on this thread."""
        self.function(0, 1, np.zeros(1, np.int64))


def run_stages(stages: Sequence[Stage | Together]) -> None:
    """Do one stage after the other, each on all threads."""
    with _lock:
        threads = min(_processors(), *(library.num_threads for library in blas_libraries()))
        threads = min(threads, max((stage.jobs for stage in stages), default=1))
        work, elsewhere = _share(stages, threads), _other_processors()
        with _blas().limit(limits=1):
            helpers = [_pool(os.getpid(), threads).submit(_help, work, elsewhere) for _ in range(threads - 1)]
            errors = [work(), *(helper.result() for helper in helpers)]
    for error in errors:
        if error is not None:
            raise error


def _processors() -> int:
    """How many processors this process may use: threads that wait for each other in a loop need one each."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _other_processors() -> set[int]:
    """The processors that this thread may use, without the one that it is on; empty where that is not known."""
    if not hasattr(os, "sched_getaffinity"):
        return set()
    return os.sched_getaffinity(0) - {_processor()}


def _help(work: Callable[[], BaseException | None], elsewhere: set[int]) -> BaseException | None:
    """Work away from the thread that asks for help: a busy system wakes a thread up where that one runs."""
    if elsewhere:
        os.sched_setaffinity(0, elsewhere)
    return work()


def side_by_side(stages: Sequence[Stage]) -> Stage:
    """Several stages as one, for which threads wait once."""
    work = [(stage, number) for stage in stages for number in range(stage.jobs)]

    def do(start: int, stop: int) -> None:
        for stage, number in work[start:stop]:
            stage.job(number)

    return Stage(do, len(work), len(work))


def shared(
    parts: Sequence[slice], stages: Callable[[Sequence[slice]], Iterable[Stage | Together]]
) -> list[Stage | Together]:
    """Stages of all parts, one after the other; or, of several parts, one stage, whose jobs are shares of the parts.

    `stages(parts)` gives the stages of some parts.
    """
    count = min(SHARES, len(parts))
    if count < 2:
        return list(stages(parts))

    def run_shares(start: int, stop: int) -> None:
        for share in range(start, stop):
            for stage in stages(parts[len(parts) * share // count : len(parts) * (share + 1) // count]):
                stage.whole()

    return [Stage(run_shares, count, count)]


def _share(stages: Sequence[Stage | Together], threads: int) -> Callable[[], BaseException | None]:
    """What each thread does: take jobs until a stage has no more, then wait for the others."""
    counters = [count() for _ in stages]
    arrivals = np.zeros((len(stages), 2), np.int64)
    failed: list[bool] = []

    def work() -> BaseException | None:
        try:
            for stage, numbers, meetings in zip(stages, counters, arrivals, strict=True):
                if isinstance(stage, Together):
                    stage.function(next(numbers), threads, meetings[:1])
                else:
                    while (number := next(numbers)) < stage.jobs:
                        stage.job(number)
                arrive(meetings[1:])
                while not failed and not arrived(meetings[1:], threads, PATIENCE):
                    time.sleep(NAP)
                if failed:  # another thread tells of it
                    return None
        except BaseException as error:
            failed.append(True)
            return error
        return None

    return work


@intrinsic  # type: ignore[untyped-decorator]
def _add_one(_: Any, array: Any) -> Any:  # numba gives the types, and takes the code
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", place, context.get_constant(types.int64, 1), "seq_cst")

    return types.int64(array), code


@intrinsic  # type: ignore[untyped-decorator]
def _look(_: Any, array: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(array), code


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def arrive(arrivals: np.ndarray) -> None:
    """Count this thread."""
    _add_one(arrivals)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def arrived(arrivals: np.ndarray, number: int, patience: int) -> bool:
    """Look until so many have arrived, or so many times."""
    while patience > 0 and _look(arrivals) < number:
        patience -= 1
    return patience > 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def meet(arrivals: np.ndarray, number: int) -> None:
    """Count this thread, and wait until so many have arrived, outside Python and without end."""
    _add_one(arrivals)
    while _look(arrivals) < number:
        pass


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
def _pool(process: int, threads: int) -> ThreadPoolExecutor:  # noqa: ARG001 - threads do not outlive a fork
    return ThreadPoolExecutor(threads, thread_name_prefix="tinysegrank")
