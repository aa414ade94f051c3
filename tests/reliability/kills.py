"""Kill a run, or let the disk fail, at its writes; each time the resumed run must end with the same bytes.

    python -m tests.reliability.kills --kills 60

counts the writes of a small run, then runs it in processes that kill themselves by SIGKILL at writes spread evenly over
all of them, evidence and report included; the next process resumes each time. Then, in one process, the first write in
each folder fails, in turn because the disk is full and because fsync fails, and the run is resumed each time. At last a
run is stopped and continued (SIGSTOP, SIGCONT), and resumed with all times of its files a day ahead of the clock.

The suite runs the short form, `test_reliability_kills.py`: 6 kills.
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.conftest import tiny_settings
from tests.reliability.damage import contents
from tinysegrank import files
from tinysegrank.errors import OutputError
from tinysegrank.evidence import collect_evidence
from tinysegrank.experiment import Silent, run_experiment
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.exporting.html_report import write_html_report
from tinysegrank.voc import make_toy_voc


def work(path: Path, voc: Path, *, evidence: bool = True) -> None:
    """Run everything: the stages, two pieces of evidence, one of which trains, and the report."""
    run_experiment(path, tiny_settings(voc), jobs=1, progress=Silent())
    if evidence:
        collect_evidence(path, ("table-1", "from-scratch"), seeds=(0,), jobs=1, progress=Silent())
        write_html_report(read_run(path, jobs=1, progress=Silent()), path / "report.html")


@contextmanager
def at_each_write(act: Callable[[int, str], None]) -> Iterator[list[str]]:
    """Call `act` with the number of each write and its folder, before its data is flushed; yield those folders."""
    seen, fsync, opened = list[str](), os.fsync, files._new_file
    now = [""]

    def new_file(path: Path) -> object:
        now[0] = str(path.parent)
        return opened(path)

    def flush(number: int) -> None:
        seen.append(now[0])
        act(len(seen), now[0])
        fsync(number)

    files._new_file, os.fsync = new_file, flush
    try:
        yield seen
    finally:
        files._new_file, os.fsync = opened, fsync


def count_writes(path: Path, voc: Path, *, evidence: bool) -> int:
    """Do the work undisturbed, and return its number of writes."""
    with at_each_write(lambda number, folder: None) as seen:
        work(path, voc, evidence=evidence)
    return len(seen)


def kill_often(path: Path, voc: Path, kills: int, writes: int, *, evidence: bool) -> int:
    """Resume the work in processes that kill themselves, each after its share of the writes; return their number."""
    killed = 0
    share = max(1, writes // (kills + 1))
    while True:
        arguments = [path, voc, share if killed < kills else 0, int(evidence)]
        code = subprocess.call([sys.executable, "-m", "tests.reliability.kills", "--child", *map(str, arguments)])
        if code == 0:
            return killed
        assert code == -signal.SIGKILL, code
        killed += 1


def _child(path: str, voc: str, last: str, evidence: str) -> None:
    def act(number: int, folder: str) -> None:
        if number == int(last):
            os.kill(os.getpid(), signal.SIGKILL)

    with at_each_write(act):
        work(Path(path), Path(voc), evidence=bool(int(evidence)))


def fail_often(path: Path, voc: Path, *, evidence: bool) -> int:
    """Let the first write in each folder fail, and resume each time; return the number of failures."""
    failed = set[str]()

    def act(number: int, folder: str) -> None:
        if folder not in failed:
            failed.add(folder)
            code = (errno.ENOSPC, errno.EIO)[len(failed) % 2]
            raise OSError(code, os.strerror(code))

    while True:
        before = len(failed)
        with at_each_write(act), suppress(OutputError):
            work(path, voc, evidence=evidence)
        if len(failed) == before:
            return before
        assert len(failed) == before + 1


def main() -> None:
    """Run the long form."""
    if sys.argv[1:2] == ["--child"]:
        _child(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="number of kills (60)")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tinysegrank-kills-"))
    voc, path = folder / "voc", folder / "run"
    make_toy_voc(voc, train=10, val=6, seed=5)
    writes = count_writes(path, voc, evidence=True)
    whole = results(path)

    def fresh() -> None:
        shutil.rmtree(path)

    fresh()
    killed = kill_often(path, voc, asked.kills, writes, evidence=True)
    assert results(path) == whole
    print(f"{killed} kills over {writes} writes, resumed to the same bytes", flush=True)
    fresh()
    failed = fail_often(path, voc, evidence=True)
    assert results(path) == whole
    print(f"{failed} writes failed, one in each folder, resumed to the same bytes", flush=True)
    fresh()
    stops = _stop_often(path, voc)
    assert results(path) == whole
    for file in path.rglob("*"):
        os.utime(file, (time.time() + 86400,) * 2)
    work(path, voc)
    assert results(path) == whole
    print(f"{stops} times stopped and continued, and resumed with times a day ahead, to the same bytes")
    shutil.rmtree(folder)


def _stop_often(path: Path, voc: Path) -> int:
    command, stops = [sys.executable, "-m", "tests.reliability.kills", "--child", str(path), str(voc), "0", "1"], 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            time.sleep(0.3)
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGSTOP)
                time.sleep(0.1)
                process.send_signal(signal.SIGCONT)
                stops += 1
    assert process.returncode == 0
    return stops


def results(path: Path) -> dict[str, bytes]:
    """Return the bytes of all that was made, without the steps of trainings and the report, which hold times."""
    return {name: data for name, data in contents(path).items() if Path(name).name not in ("step.txt", "report.html")}


if __name__ == "__main__":
    main()
