"""Run an experiment in several ways, and check that each gives the same bytes.

    python -m tests.reliability.determinism --folder FOLDER

runs a small experiment, evidence and the report in 1, 2 and 4 processes; once more, interrupted three times in every
stage and piece, when it begins, after its first task and when it is done; and on a Dask cluster of two workers, one of
which is killed as it trains (with `pip install ".[dask]"`). Finished runs in FOLDER are not made again.

The suite runs the short forms, in `test_experiment_protocol.py` (two processes, interruptions) and `test_cluster.py`.
"""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.reliability.command_line import asked_folder
from tests.reliability.kills import check, results, work
from tinysegrank.experiment.progress import Advance, Progress
from tinysegrank.voc import make_toy_voc


class Interrupting(Progress):
    """Raises KeyboardInterrupt once at each moment of each stage."""

    def __init__(self) -> None:
        self.stage_now, self.seen = "", set[str]()

    def _moment(self, when: str) -> None:
        moment = f"{self.stage_now}: {when}"
        if moment not in self.seen and threading.current_thread() is threading.main_thread():
            self.seen.add(moment)
            raise KeyboardInterrupt(moment)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Interrupt a stage when it begins, and when it is done."""
        self.stage_now = name
        self._moment("begun")
        yield
        self._moment("done")

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Advance]:
        """Interrupt a stage after its first task."""
        yield lambda units: self._moment("first task") if units else None


def interrupt_everywhere(path: Path, voc: Path) -> int:
    """Do the work, and resume it after each interruption; return their number."""
    progress = Interrupting()
    while True:
        try:
            work(path, voc, progress=progress)
            return len(progress.seen)
        except KeyboardInterrupt:
            continue


def on_a_cluster(path: Path, voc: Path, folder: Path) -> None:
    """Do the work on a Dask cluster, and kill one of its two workers while it trains."""
    from tests.test_cluster import Processes
    from tinysegrank.cluster import cluster

    folder.mkdir(exist_ok=True)
    processes = Processes(folder)

    def kill() -> None:
        while not any((path / "training").glob("*/step.txt")):
            time.sleep(0.005)
        processes.workers()[0].kill()

    try:
        address = processes.have(2)
        threading.Thread(target=kill, daemon=True).start()
        with cluster(address):
            work(path, voc)
        assert len(processes.workers()) == 1, "no worker was killed"
    finally:
        processes.stop()


def main() -> None:
    """Run the long form."""
    folder = asked_folder(__doc__, "determinism")
    voc = folder / "voc"
    if not voc.exists():
        make_toy_voc(voc, train=6, val=3, seed=5)
    for jobs in (1, 2, 4):
        work(folder / f"jobs-{jobs}", voc, jobs=jobs)
        check(folder / f"jobs-{jobs}", results(folder / "jobs-1"))
        print(f"--jobs {jobs}: {len(results(folder / 'jobs-1'))} files have the same bytes", flush=True)
    count = interrupt_everywhere(folder / "interrupted", voc)
    check(folder / "interrupted", results(folder / "jobs-1"))
    print(f"interrupted and resumed {count} times: the same bytes", flush=True)
    if importlib.util.find_spec("distributed"):
        on_a_cluster(folder / "cluster", voc, folder / "dask")
        check(folder / "cluster", results(folder / "jobs-1"))
        print("on a Dask cluster, with a worker killed: the same bytes")


if __name__ == "__main__":
    main()
