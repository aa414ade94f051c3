"""Let every write of a run fail for a full disk and in fsync; each time the resumed run must have the same bytes.

    python -m tests.reliability.writes --folder FOLDER

runs a small experiment, evidence and the report, and lets the first write that has not failed yet fail: its data is
refused with ENOSPC. The next time the same write fails in fsync, with EIO, then the next write does, and so on, until
all is made; the failures are counted. Each time the error must be the library's own and name the file, in one line, and
no temporary file may stay. The same command resumes the harness itself.

The suite runs the short form, `test_reliability_writes.py`: some writes of some stages.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.reliability.command_line import asked_folder
from tests.reliability.kills import Point, Writes, check, results, work
from tinysegrank.errors import OutputError
from tinysegrank.files import atomic
from tinysegrank.voc import make_toy_voc

WAYS = (errno.ENOSPC, errno.EIO)
Failure = tuple[str, int, int]
"""A point and the error that it failed with."""


class _Full(io.FileIO):
    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def failing(run: Path, failed: list[Failure], only: Collection[Point] | None = None) -> Iterator[None]:
    """Let the next write fail that `failed` doesn't list with each way to fail, and add it to the list.

    Args:
        run: the run folder.
        failed: what has failed before.
        only: the points that may fail; all by default.
    """
    before, opened = len(failed), atomic._new_file

    def way_of(point: Point) -> int | None:
        left = [way for way in WAYS if (*point, way) not in failed and (only is None or point in only)]
        return left[0] if left and len(failed) == before else None

    def new_file(path: Path) -> IO[bytes]:
        stream, point = opened(path), writes.log[-1]
        if way_of(point) != errno.ENOSPC:
            return stream
        failed.append((*point, errno.ENOSPC))
        with stream:
            return io.BufferedWriter(_Full(os.dup(stream.fileno()), "wb"))

    def act(point: Point) -> None:
        if way_of(point) == errno.EIO:
            failed.append((*point, errno.EIO))
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    writes, atomic._new_file = Writes(run, act), new_file
    try:
        with writes.watched():
            yield
    finally:
        atomic._new_file = opened


def fail_once(path: Path, voc: Path, failed: list[Failure], *, evidence: bool, only: list[Point] | None = None) -> bool:
    """Do the work, and let one write fail that has not failed yet; return whether there was one.

    Raises:
        AssertionError: the error isn't what it should be, or a temporary file stays.
    """
    before, said = len(failed), ""
    try:
        with failing(path, failed, only):
            work(path, voc, evidence=evidence)
    except OutputError as error:
        said = str(error)
    assert len(failed) == before + bool(said), (failed[before:], said)
    if said:
        name = Path(failed[-1][0]).name
        assert "\n" not in said and (name in said or f"{path}: " in said) and len(said) < 300 + len(str(path)), said
    assert not list(path.rglob(".*.tmp")), failed[-1]
    return bool(said)


def main() -> None:
    """Run the long form."""
    folder = asked_folder(__doc__, "writes")
    voc, path, whole, log = folder / "voc", folder / "run", folder / "whole", folder / "failed.txt"
    if not log.exists():
        make_toy_voc(voc, train=6, val=3, seed=5)
        work(whole, voc)
        log.touch()
    lines = (line.rsplit(" ", 2) for line in log.read_text().splitlines())
    failed = [(name, int(number), int(way)) for name, number, way in lines]
    while fail_once(path, voc, failed, evidence=True):
        with log.open("a") as stream:
            print(*failed[-1], file=stream)
    check(path, results(whole))
    counts = {errno.errorcode[way]: sum(way == one[2] for one in failed) for way in WAYS}
    print(f"failed writes, each resumed to the same bytes: {counts}")


if __name__ == "__main__":
    main()
