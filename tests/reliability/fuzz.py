"""Give every reader damaged and hostile files, and check that only the library's own errors come out.

    python -m tests.reliability.fuzz --inputs 100000 --jobs 2      every reader, the long form
    python -m tests.reliability.fuzz mask --first 417 --inputs 1   input 417 of one reader again

Input i of a reader is always the same: it is drawn from the seed, the reader's name and i. Each is a good
file that is changed in its own format, or by noise. An error must be the library's own and say one printable line of
less than 300 characters after the path; an input may take 2 s of processor time and 1 GB.
The suite runs the short form, `test_reliability_fuzz.py`.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from tests.reliability.readers import Reader, readers_of_inputs
from tests.reliability.readers_of_runs import readers_of_runs
from tinysegrank.errors import TinySegRankError

LONGEST = 300  # characters of a message, without the path
SECONDS, BYTES = 2.0, 1 << 30
_HUNG = 60.0  # seconds of the clock, where the time of the processor could not be checked


class _TooLong(BaseException):
    """Raised where an input takes too long; no reader catches it."""


class Count(NamedTuple):
    """What became of a reader's inputs."""

    inputs: int = 0
    refused: int = 0  # the others could still be read
    failed: int = 0
    seconds: float = 0.0  # of the slowest
    grown: int = 0  # bytes of memory


def main() -> None:
    """Run the harness."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", help="names of readers; all by default")
    parser.add_argument("--inputs", type=int, default=100_000, help="number of inputs of each reader (100,000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input (0)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the inputs (0)")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes (1)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tinysegrank-fuzz-") as folder:
        rng, examples = np.random.default_rng(0), Path(folder) / "examples"
        readers = {**readers_of_inputs(examples, rng), **readers_of_runs(examples, rng)}
        chosen = asked.readers or list(readers)
        test = partial(_in_process, readers, Path(folder), asked.seed, asked.first, asked.inputs)
        with ThreadPoolExecutor(asked.jobs) as pool:
            counts = dict(zip(chosen, pool.map(test, chosen), strict=True))
    total = sum(count.inputs for count in counts.values())
    failed = sum(count.failed for count in counts.values())
    print(f"{total} inputs of {len(counts)} readers, {failed} failed")
    sys.exit(failed > 0)


def _in_process(readers: dict[str, Reader], folder: Path, seed: int, first: int, inputs: int, name: str) -> Count:
    """Test a reader in a process of its own, or in several where one of them dies."""
    context, whole, last = multiprocessing.get_context("fork"), Count(), first + inputs
    while first < last:
        results, place = context.SimpleQueue(), context.Value("q", first)
        work = folder / f"{name.replace(' ', '-')}-{first}"
        child = context.Process(target=_test, args=(readers[name], name, work, seed, first, last, place, results))
        child.start()
        before, since = -1, time.monotonic()
        while child.is_alive():
            child.join(0.2)
            if place.value != before:
                before, since = place.value, time.monotonic()
            elif time.monotonic() - since > _HUNG and child.pid is not None:
                os.kill(child.pid, signal.SIGKILL)
        found, died = Count(), child.exitcode != 0
        if died:
            _report(name, seed, place.value, f"the process ended with {child.exitcode}")
            found = Count(place.value + 1 - first, 0, 1)
        else:
            found = results.get()
        inputs, refused, failed = np.add(whole[:3], found[:3]).tolist()
        whole = Count(inputs, refused, failed, max(whole.seconds, found.seconds), max(whole.grown, found.grown))
        first = place.value + 1 if died else last
    said = f"{name}: {whole.inputs} inputs, {whole.refused} refused, {whole.failed} failed"
    print(f"{said}; slowest {whole.seconds:.2f} s, memory +{whole.grown >> 20} MB", flush=True)
    return whole


def _test(reader: Reader, name: str, work: Path, seed: int, first: int, last: int, place: Any, results: Any) -> None:
    faulthandler.enable()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + BYTES, held + BYTES))
    begun, count = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, Count()
    for example in reader.examples:
        (work / example.path).parent.mkdir(parents=True, exist_ok=True)
        (work / example.path).write_bytes(example.content)
    for example in reader.examples:
        example.read(work / example.path)
    for number in range(first, last):
        place.value = number
        draw = Random(f"{seed}/{name}/{number}")
        example = draw.choice(reader.examples)
        path = work / example.path
        path.write_bytes(reader.change(example.content, draw))
        started = time.process_time()
        refused, fault = _outcome(example.read, path, work)
        seconds = time.process_time() - started
        if fault:
            _report(name, seed, number, fault)
        path.write_bytes(example.content)
        count = Count(
            count.inputs + 1, count.refused + refused, count.failed + bool(fault), max(count.seconds, seconds)
        )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun
    results.put(count._replace(grown=grown << 10))
    shutil.rmtree(work)
    sys.stdout.flush()
    os._exit(0)  # what Python does at its end isn't made for a copy of a process with threads


def _outcome(read: Any, path: Path, work: Path) -> tuple[bool, str]:
    """Read a file; return whether it was refused, and what is wrong with how."""
    try:
        with _limited(), warnings.catch_warnings(action="ignore"):
            read(path)
    except TinySegRankError as error:
        message = str(error).replace(f"{work}", "")
        if len(message) >= LONGEST or not message.isprintable():
            return True, f"message of {len(message)} characters: {message[:400]!r}"
        return True, ""
    except _TooLong:
        return True, f"took more than {SECONDS} s"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return True, f"{type(error).__name__}: {str(error)[:200]!r} at {last.filename}:{last.lineno}"
    return False, ""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooLong

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _report(name: str, seed: int, number: int, fault: str) -> None:
    again = f"python -m tests.reliability.fuzz '{name}' --seed {seed} --first {number} --inputs 1"
    print(f"FAILED {fault}\n  {again}", flush=True)


if __name__ == "__main__":
    main()
