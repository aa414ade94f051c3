"""Kill a run at its writes, stop it, and turn the clock back; each time the resumed run must end with the same bytes.

    python -m tests.reliability.kills --folder FOLDER

runs a small experiment, two pieces of evidence, one of which trains, and the report once undisturbed, and notes every
write. Then it runs them in processes that kill themselves by SIGKILL, and resumes each time: in every stage and piece
at the first write, at one in the middle and at the last, before its data is flushed. So the shortest stage is killed as
often as the longest. Then a run is stopped and continued (SIGSTOP, SIGCONT) every 0.3 s. At last a stage and a piece
are made anew while `time.time` returns yesterday and all files of the run are from tomorrow. The same command resumes
the harness itself.

The suite runs the short form, `test_reliability_kills.py`: 6 kills.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.conftest import tiny_settings
from tests.reliability.command_line import asked_folder
from tests.reliability.damage import contents
from tinysegrank.evidence import collect_evidence
from tinysegrank.experiment import Silent, run_experiment
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.exporting.html_report import write_html_report
from tinysegrank.files import atomic
from tinysegrank.stamps import STAMP
from tinysegrank.voc import make_toy_voc

DAY = 86400
Point = tuple[str, int]
"""A place to kill a run at: a file, relative to the run, and how often a process has written it then."""


def work(path: Path, voc: Path, *, evidence: bool = True, jobs: int = 1, progress: Progress | None = None) -> None:
    """Run everything: the stages, two pieces of evidence, one of which trains, and the report."""
    run_experiment(path, tiny_settings(voc), jobs=jobs, progress=progress or Silent())
    if evidence:
        collect_evidence(path, ("table-2", "from-scratch"), seeds=(0,), jobs=jobs, progress=progress or Silent())
        write_html_report(read_run(path, jobs=1, progress=Silent()), path / "report.html")


class Writes:
    """The writes of a process to a run.

    Args:
        run: the run folder.
        act: called with each point, when the file's data is complete but not yet flushed to disk.

    Attributes:
        log: the points, in order.
    """

    def __init__(self, run: Path, act: Callable[[Point], Any] = lambda point: None) -> None:
        self.run, self.act, self.log = run.resolve(), act, list[Point]()

    @contextmanager
    def watched(self) -> Iterator[list[Point]]:
        """Watch the writes inside the block; yield the log."""
        fsync, destination = os.fsync, atomic.destination

        def note(path: Path | str) -> Path | None:
            file = destination(path) or Path(path)
            name = re.sub(r"\.([^/]+)\.[0-9a-f]{12}\.tmp/", r"\1/", str(file.relative_to(self.run)))  # it is random
            self.log.append((name, 1 + sum(name == earlier for earlier, _ in self.log)))
            return file

        def flush(number: int) -> None:
            self.act(self.log[-1])
            fsync(number)

        atomic.destination, os.fsync = note, flush
        try:
            yield self.log
        finally:
            atomic.destination, os.fsync = destination, fsync


def log_of(path: Path, voc: Path, *, evidence: bool) -> list[Point]:
    """Do the work undisturbed, and return its writes."""
    with Writes(path).watched() as log:
        work(path, voc, evidence=evidence)
    return log


def points(log: list[Point]) -> list[Point]:
    """Return three points of every stage and piece of evidence, and of the run's own files: first, middle and last."""
    places: dict[str, list[Point]] = {}
    for point in log:
        parents = Path(point[0]).parent.parts
        places.setdefault("/".join(parents[: 2 if parents[:1] == ("evidence",) else 1]), []).append(point)
    found = set[Point]()
    for own in places.values():
        firsts = [point for point in own if point[1] == 1]
        last = own[-1] if Path(own[-1][0]).name == STAMP else firsts[-1]  # a stamp is written when work begins and ends
        found |= {firsts[0], firsts[len(firsts) // 2], last}
    return sorted(found, key=log.index)


def kill_at(path: Path, voc: Path, point: Point, *, evidence: bool) -> None:
    """Do the work in a process that kills itself at a point; ("", 0) is no point.

    Raises:
        AssertionError: it wasn't killed by itself, or ended otherwise.
    """
    arguments = [str(path), str(voc), *map(str, point), str(int(evidence))]
    code = subprocess.call([sys.executable, "-m", "tests.reliability.kills", "--child", *arguments])
    assert code == (-signal.SIGKILL if point[0] else 0), (point, code)


def _child(path: str, voc: str, name: str, number: str, evidence: str) -> None:
    def act(point: Point) -> None:
        if point == (name, int(number)):
            os.kill(os.getpid(), signal.SIGKILL)

    with Writes(Path(path), act).watched():
        work(Path(path), Path(voc), evidence=bool(int(evidence)))


def main() -> None:
    """Run the long form."""
    if sys.argv[1:2] == ["--child"]:
        _child(*sys.argv[2:])
        return
    folder = asked_folder(__doc__, "kills")
    voc, path, plan, done = folder / "voc", folder / "run", folder / "plan.json", folder / "done.txt"
    if not plan.exists():
        make_toy_voc(voc, train=6, val=3, seed=5)
        log = log_of(folder / "whole", voc, evidence=True)
        plan.write_text(json.dumps([len(log), points(log)]))
        done.touch()
    whole, (writes, at) = results(folder / "whole"), json.loads(plan.read_text())
    for point in at[len(done.read_text().splitlines()) :]:
        kill_at(path, voc, tuple(point), evidence=True)
        with done.open("a") as stream:
            print(*point, file=stream)
    kill_at(path, voc, ("", 0), evidence=True)
    check(path, whole)
    print(f"{len(at)} kills over {writes} writes, resumed to the same bytes", flush=True)
    shutil.rmtree(path)
    stops = stop_often(path, voc)
    check(path, whole)
    print(f"{stops} times stopped and continued, with the same bytes", flush=True)
    clock, now = time.time, time.time()
    time.time = lambda: clock() - DAY
    for file in path.rglob("*"):
        os.utime(file, (now + DAY, now + DAY))
    for stage in ("described", "evidence/table-2"):  # what is made anew is then older than what it is made from
        shutil.rmtree(path / stage)
        work(path, voc)
        check(path, whole)
    print("resumed with the clock set back a day, and files from a day ahead, to the same bytes")
    shutil.rmtree(folder)


def stop_often(path: Path, voc: Path) -> int:
    """Do the work in a process that is stopped for 0.1 s every 0.3 s; return how often."""
    command, stops = [sys.executable, "-m", "tests.reliability.kills", "--child", str(path), str(voc), "", "0", "1"], 0
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
    """Return the bytes of all that was made, without the report, which holds times."""
    return {name: data for name, data in contents(path).items() if name != "report.html"}


def check(path: Path, whole: dict[str, bytes]) -> None:
    """Check that a run has the bytes of one that nobody disturbed, and nothing else.

    Raises:
        AssertionError: it doesn't.
    """
    found = results(path)
    assert found == whole, [name for name in {**found, **whole} if found.get(name) != whole.get(name)]


if __name__ == "__main__":
    main()
