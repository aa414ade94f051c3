"""Independent jobs on as many threads as BLAS may use, with BLAS itself held to one thread meanwhile.

Jobs are cut alike for any number of threads, and no two write to one place, so results are the same to the bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count
from threading import Lock
from typing import TypeAlias

from threadpoolctl import ThreadpoolController

_lock = Lock()  # the number of BLAS threads belongs to the process: one caller at a time may change it


Stage: TypeAlias = tuple[Callable[[int], object], int]


def run_stages(*stages: Stage) -> None:
    """For each stage (function, number) in turn, call function(0) to function(number - 1), in any order and at once."""
    blas = _blas()
    threads = min(library.num_threads for library in blas.lib_controllers)
    with _lock, blas.limit(limits=1):
        for function, number in stages:
            _share(function, number, threads)


def _share(function: Callable[[int], object], number: int, threads: int) -> None:
    numbers = count()  # whoever is free takes the next job

    def work() -> None:
        while (job := next(numbers)) < number:
            function(job)

    helpers = [_pool(os.getpid(), threads).submit(work) for _ in range(min(threads, number) - 1)]
    work()
    for helper in helpers:
        helper.result()


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:  # noqa: ARG001 - threads do not outlive a fork
    return ThreadPoolExecutor(threads, thread_name_prefix="tinysegrank")
