"""A worker process that the system ends is one error, and the next call works."""

from __future__ import annotations

import os
import signal

import pytest

from tinysegrank.errors import WorkerError
from tinysegrank.parallel import parallel_map


def kill_at_two(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_worker_is_one_sentence():
    with pytest.raises(WorkerError) as error:
        list(parallel_map(kill_at_two, range(4), jobs=2))
    assert str(error.value) == (
        "a worker process was killed (SIGKILL), most likely for lack of memory; repeat the command with --jobs below "
        "2: finished work is kept"
    )
    assert list(parallel_map(kill_at_two, [0, 1, 3], jobs=2)) == [0, 1, 3]
