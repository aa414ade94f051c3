"""End commands in every way, and check that they leave no process and no temporary file behind.

    python -m tests.reliability.processes --endings 60

runs a small experiment again and again in a new folder, with two worker processes and in a
terminal of its own. Each time the command is ended after a random time by one of `WAYS`. Then no worker of it may be
alive two seconds later, it must have said one sentence, and its exit code must be right. No temporary file may be left;
after SIGKILL, those in the run folder are left to the next command.
Now and then a second command is started on the same folder: it must be refused while the first is alive, and resume
once the first is dead. At the end the run is finished and compared, file by file, with one that nobody disturbed.

The suite runs the short form of it, `test_reliability_processes.py`, on the command that draws toy images.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

GRACE = 2.0  # seconds after a command's end in which its workers must end
TRACKER_GRACE = 10.0  # for joblib's resource tracker, which waits for all workers and then removes what they left
WAYS = {"SIGTERM": 143, "Ctrl-C": 130, "closed terminal": 129, "SIGKILL": -9}
"""The ways to end a command, and the exit code of each."""
_IN_TERMINAL = """
import fcntl, os, signal, sys, termios
for number in (signal.SIGINT, signal.SIGQUIT):  # shells make programs in the background ignore them
    signal.signal(number, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # the terminal that closes, and whose Ctrl-C is a signal
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Command:
    """A `tinysegrank` command in a terminal, in a session of its own, with an own folder for temporary files.

    Args:
        arguments: those of the command.
        temporary: the folder for temporary files.
        terminal: the kind of terminal; bars are drawn only on one that can move the cursor, such as xterm.
    """

    def __init__(self, *arguments: object, temporary: Path, terminal: str = "dumb") -> None:
        temporary.mkdir(exist_ok=True)
        self.temporary, self.output, self._open = temporary, b"", True
        places = {name: str(temporary) for name in ("TMPDIR", "JOBLIB_TEMP_FOLDER")}
        self._terminal, other = pty.openpty()
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, "-m", "tinysegrank", *map(str, arguments)],
            env={**os.environ, **places, "TERM": terminal, "COLUMNS": "200"},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        self.process = self._popen.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while self._open:
            came = select.select([self._terminal], [], [], 0.05)[0]
            try:
                self.received(os.read(self._terminal, 65536) if came else b"")
            except OSError:  # the other end is closed
                return

    def received(self, data: bytes) -> None:
        """Keep what the command wrote; b"" where it wrote nothing for 0.05 s. A thread of its own calls this."""
        self.output += data

    def end(self, way: str) -> None:
        """Begin to end it in one of `WAYS`."""
        if way == "Ctrl-C":
            os.write(self._terminal, b"\x03")  # the terminal sends SIGINT to the whole group, as from a keyboard
        elif way == "closed terminal":
            self._close()
        else:
            os.kill(self.process, signal.Signals[way])

    def wait(self, seconds: float = 300) -> int:
        """Wait for its end, and return its exit code: that of a shell, but -9 after SIGKILL."""
        try:
            code = self._popen.wait(seconds)
        except subprocess.TimeoutExpired as error:
            os.killpg(self.process, signal.SIGKILL)
            raise AssertionError(f"the command did not end within {seconds} s: {self.said()}") from error
        self._reader.join(1)
        self._close()
        return code

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._reader.join()
            os.close(self._terminal)

    def alive(self) -> list[str]:
        """Return the processes of its group that are alive, as lines of ps."""
        lines = subprocess.check_output(["ps", "-A", "-o", "pgid=,pid=,stat=,args="], text=True).splitlines()
        fields = [line.split(None, 3) for line in lines]
        return [" ".join(each) for each in fields if int(each[0]) == self.process and not each[2].startswith("Z")]

    def said(self) -> str:
        """Return what it wrote to the terminal."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output.decode(errors="replace")).replace("\r\n", "\n")


def check_end(command: Command, way: str, folders: Sequence[Path]) -> float:
    """End a command that is at work, check what it leaves, and return for how long its workers outlived it.

    Raises:
        AssertionError: something is left: a process after `GRACE`, a temporary file, or more than one sentence.
    """
    command.end(way)
    code, ended = command.wait(), time.monotonic()
    outlived = 0.0
    while left := command.alive():
        seconds, workers = time.monotonic() - ended, [line for line in left if "resource_tracker" not in line]
        assert seconds < (GRACE if workers else TRACKER_GRACE), f"{way}: alive after {seconds} s: {left}"
        outlived = seconds if workers else outlived
        time.sleep(0.05)
    assert code == WAYS[way], f"{way}: exit code {code}: {command.said()}"
    said = command.said()
    if way != "SIGKILL":  # after which joblib's resource tracker says what it cleans up
        assert not re.search(r"Traceback|Warning|Error|Exception", said), f"{way}: {said}"
    if way in ("SIGTERM", "Ctrl-C"):
        by = " by SIGTERM" if way == "SIGTERM" else ""
        last = said.rstrip().splitlines()[-1]
        assert re.search(rf"interrupted{by}; .* kept.*; resume with: tinysegrank ", last), f"{way}: {said}"
        assert said.count("interrupted") == 1, f"{way}: {said}"
    left = list(command.temporary.iterdir())
    if way != "SIGKILL":  # after which the next command removes what is in the run's folder
        left += [path for folder in folders for path in folder.rglob(".*.tmp")]
    assert not left, f"{way}: temporary files: {left}"
    return outlived


def wait_until(happens: Callable[[], bool], command: Command, seconds: float = 300) -> None:
    """Wait until something happens while a command runs.

    Raises:
        AssertionError: it does not happen in time.
    """
    last = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < last, command.said()
        time.sleep(0.005)


def contents(run: Path) -> dict[str, str]:
    """Return the digests of what a run made, without what depends on the time: stamps, step counts and reports."""
    kinds = (".npy", ".npz", ".png", ".csv", ".safetensors")
    files = [path for path in sorted(run.rglob("*")) if path.suffix in kinds]
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endings", type=int, default=60, help="number of commands to end (60)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the times and the ways (0)")
    parser.add_argument("--folder", type=Path, help="folder for the runs; a new one by default")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="tinysegrank-processes-"))
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(asked.seed)
    arguments, undisturbed = prepare(folder), folder / "undisturbed"

    def start(run: Path) -> Command:
        return Command(*arguments, "--out", run, temporary=folder / "temporary")

    begun = time.monotonic()
    assert start(undisturbed).wait(3600) == 0
    whole = time.monotonic() - begun
    counts, refused, outlived, disturbed = Counter[str](), 0, 0.0, folder / "disturbed"
    while sum(counts.values()) < asked.endings:
        way = draw.choice(list(WAYS))
        command = start(disturbed)
        wait_until(lambda: bool(command.output), command)  # noqa: B023  # before, Python itself is starting
        if sum(counts.values()) % 5 == 0 and command.alive():
            second = start(disturbed)
            if second.wait() == 1:
                assert f"process {command.process} on" in second.said(), second.said()
                refused += 1
            else:  # the first was done
                assert not command.alive()
        time.sleep(draw.uniform(0, whole / 4))
        if not command.alive():  # it was finished: begin again
            assert command.wait() == 0, command.said()
            assert contents(disturbed) == contents(undisturbed)
            disturbed = disturbed.with_name(f"disturbed-{sum(counts.values())}")
            continue
        outlived = max(outlived, check_end(command, way, [disturbed]))
        counts[way] += 1
    command = start(disturbed)
    assert command.wait(3600) == 0, command.said()
    assert contents(disturbed) == contents(undisturbed)
    assert not list(disturbed.rglob(".*.tmp"))
    print(f"{dict(counts)}; workers outlived the command by {outlived:.2f} s at most; {refused} commands refused")


def prepare(folder: Path) -> list[str]:
    """Make a toy data set and the settings of a small run; return the arguments of the command that runs it."""
    from tests.conftest import tiny_settings
    from tinysegrank.config import to_toml
    from tinysegrank.voc import make_toy_voc

    make_toy_voc(folder / "voc", train=10, val=6, seed=5)
    settings = folder / "settings.toml"
    settings.write_text(to_toml(tiny_settings(folder / "voc")))
    return ["run", "--voc", str(folder / "voc"), "--config", str(settings), "--jobs", "2"]


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
