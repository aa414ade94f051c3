"""Work in stages on as many threads as BLAS may use, with BLAS itself held to one thread meanwhile.

The jobs of a stage are cut alike for any number of threads, and no two write to one place, so that results are the
same to the bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count
from threading import Barrier, BrokenBarrierError, Lock
from typing import TypeAlias

from threadpoolctl import LibController, ThreadpoolController

Stage: TypeAlias = tuple[Callable[[int], object], int]
_lock = Lock()  # the number of BLAS threads belongs to the process: one caller at a time may change it


def run_stages(stages: Sequence[Stage]) -> None:
    """For each stage (function, number) in turn, call function(0) to function(number - 1), in any order and at once."""
    with _lock:
        threads = min(library.num_threads for library in blas_libraries())
        threads = min(threads, max((number for _, number in stages), default=1))
        work = _share(stages, Barrier(threads))
        with _blas().limit(limits=1):
            helpers = [_pool(os.getpid(), threads).submit(work) for _ in range(threads - 1)]
            errors = [work(), *(helper.result() for helper in helpers)]
    for error in errors:
        if error is not None:
            raise error


def _share(stages: Sequence[Stage], barrier: Barrier) -> Callable[[], BaseException | None]:
    """What each thread does: take jobs until a stage has no more, then wait for the others."""
    counters = [count() for _ in stages]

    def work() -> BaseException | None:
        try:
            for (function, number), numbers in zip(stages, counters, strict=True):
                while (job := next(numbers)) < number:
                    function(job)
                barrier.wait()
        except BrokenBarrierError:  # another thread failed, and tells of it
            return None
        except BaseException as error:
            barrier.abort()
            return error
        return None

    return work


def blas_libraries() -> list[LibController]:
    """The BLAS libraries of this process."""
    libraries: list[LibController] = _blas().lib_controllers
    return libraries


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:  # noqa: ARG001 - threads do not outlive a fork
    return ThreadPoolExecutor(threads, thread_name_prefix="tinysegrank")
