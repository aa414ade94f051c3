"""Worker processes end when their work is of no more use, however it came to that, and the next call works."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tinysegrank import parallel
from tinysegrank.errors import WorkerError
from tinysegrank.parallel import jobs_that_fit, parallel_map


@pytest.mark.parametrize(("size", "expected"), [(0, 8), (10**6, 8), (10**9, 2), (13 * 10**8, 2), (10**10, 1)])
def test_processes_with_large_arrays_are_fewer(size, expected):
    assert jobs_that_fit(8, size) == expected
    assert jobs_that_fit(1, size) == 1


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


def sleep_unless_zero(seconds: int) -> int:
    time.sleep(seconds)
    return os.getpid()


def test_no_program_of_path_is_run_to_end_workers(tmp_path, monkeypatch):
    from joblib.externals.loky.backend import utils

    monkeypatch.setattr(utils, "psutil", None)
    program, ran = tmp_path / "pgrep", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    results = parallel_map(sleep_unless_zero, [0, 600, 600], jobs=2)
    next(results)
    assert isinstance(results, Generator)
    results.close()
    assert multiprocessing.active_children() == []
    assert not ran.exists()


@pytest.mark.parametrize(("error", "shown"), [(KeyError, []), (ValueError, [ValueError])])
def test_a_cancelled_task_that_joblibs_thread_misses_is_not_shown(monkeypatch, error, shown):
    class _ExecutorManagerThread(threading.Thread):
        def run(self):
            raise error(4)

    told = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: told.append(failure.exc_type))
    with parallel._quiet_manager():
        thread = _ExecutorManagerThread()
        thread.start()
        thread.join()
    assert told == shown


def test_workers_are_killed_where_results_are_left_over():
    def take_one():
        for worker in parallel_map(sleep_unless_zero, [0, 600, 600], jobs=2):
            raise KeyError(worker)  # joblib's warning would be an error

    with pytest.raises(KeyError) as error:
        take_one()
    assert multiprocessing.active_children() == []
    with pytest.raises(ProcessLookupError):
        os.kill(error.value.args[0], 0)
    assert len(list(parallel_map(sleep_unless_zero, [0, 0], jobs=2))) == 2


def refuse_zero(seconds: int) -> None:
    time.sleep(seconds)
    if seconds == 0:
        raise ValueError("zero")


def test_what_killed_workers_leave_is_cleaned_up_without_a_word():
    program = """
import os
from joblib.externals.loky.backend.resource_tracker import register
from tinysegrank.parallel import parallel_map
print(*parallel_map(abs, [-1, 2], jobs=2), flush=True)
register("/not-there", "semlock")
os._exit(0)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("1 2\n", "")


def test_an_error_in_one_worker_kills_the_others():
    with pytest.raises(ValueError, match="zero"):
        list(parallel_map(refuse_zero, [600, 0], jobs=2))
    assert multiprocessing.active_children() == []


def test_what_cannot_be_pickled_is_no_killed_worker():
    with pytest.raises(Exception, match=r"(?i)pickle"):
        list(parallel_map(len, [multiprocessing.current_process()], jobs=2))


def signals_of(item: int) -> tuple[set[signal.Signals], set[object]]:
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, [])), {signal.getsignal(number) for number in numbers}


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="there is no Ctrl-C for a group of processes here")
def test_signals_are_left_to_the_command_from_the_start():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    for blocked, handlers in parallel_map(signals_of, range(2), jobs=2):
        assert blocked >= {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}  # while it started
        assert handlers == {signal.SIG_IGN}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


@pytest.mark.slow
def test_the_first_workers_of_a_process_leave_signals_to_it_too():
    script = (
        f"import tests.test_parallel as these; these.{test_signals_are_left_to_the_command_from_the_start.__name__}()"
    )
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1], check=True)


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_result_is_counted(jobs):
    counted: list[int] = []
    assert list(parallel_map(abs, [-3, 2, -1], jobs=jobs, advance=counted.append)) == [3, 2, 1]
    assert counted == [1, 1, 1]
