"""Find the longest time that each command shows nothing new on a terminal, and what it showed before.

    python -m tests.reliability.pace --folder FOLDER

runs every command that works on a whole run, one after the other, in a terminal on which bars move: the demo, the
report, all exports, `verify`, `predict`, all pieces of evidence, and `fetch` from archives. Nothing is compiled before.
Where `TINYSEGRANK_VOC` and `TINYSEGRANK_WEIGHTS` name photographs and weights, all is done on them too, by
`--experiment quick --limit 40` with short trainings, and 20 of them are labelled. A bar redraws itself ten times a
second, so a silence of two seconds is work without a bar. The processor time of the busiest process is printed beside
it: on a busy machine a silence is longer than its work.

The suite runs the short form, `test_reliability_pace.py`: a tiny run, one piece of evidence and the report.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.fetching.published import annotation, sbd_archive, sbd_masks, voc_archive
from tests.reliability.command_line import asked_folder
from tests.reliability.processes import Command

ALLOWED = 2.0  # seconds of processor time without a sign of life
SHORTEST = 0.2  # seconds without output that are noted; a bar moves every 0.1 s


class Silence(NamedTuple):
    """A time without output: its seconds, the processor time of its busiest process, and what was shown before."""

    seconds: float
    work: float
    after: str


class Watched(Command):
    """A command on a terminal that shows bars; its silences are complete once `wait` has returned."""

    def __init__(self, *arguments: object, temporary: Path) -> None:
        self.silences: list[Silence] = []
        self._last = self._due = time.monotonic()
        self._work = list[dict[str, float]]()
        super().__init__(*arguments, temporary=temporary, terminal="xterm")

    def received(self, data: bytes) -> None:
        """Note the processor time during a silence, and the silence when it ends."""
        now = time.monotonic()
        if data:
            self._note()
            self._last, self._due, self._work = now, now + SHORTEST, []
            super().received(data)
        elif now > self._due and (work := processor_seconds(self.process)):
            self._work = [*self._work[:1], work]  # when it began, and now
            self._due = now + SHORTEST

    def _note(self) -> None:
        if len(self._work) == 2:
            began, now = self._work
            work = max((seconds - began.get(process, 0.0) for process, seconds in now.items()), default=0.0)
            self.silences.append(Silence(time.monotonic() - self._last, work, last_line(self.output)))

    def wait(self, seconds: float = 3600) -> int:
        """Wait for its end."""
        code = super().wait(seconds)
        self._note()
        return code

    def longest(self) -> Silence:
        """Return the silence with most work."""
        return max(self.silences, key=lambda silence: silence.work)


def last_line(output: bytes) -> str:
    """Return the last line of a terminal's output that shows something, without control sequences."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output[-4000:].decode(errors="replace"))
    return next((line.strip() for line in reversed(re.split(r"[\r\n]", text)) if line.strip()), "its start")


def processor_seconds(session: int) -> dict[str, float]:
    """Return the processor time of each living process of a session; of none where there is no /proc."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[3]) == session:
            found[file.parent.name] = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return found


def commands(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield the arguments of every command, each after those whose results it needs."""
    demo, toy = folder / "demo", folder / "demo-toyvoc" / "seed-0-40"
    runs = [(demo, toy)]
    yield ("demo", "--images", "40", "--out", f"{demo}")
    voc, weights = (os.environ.get(f"TINYSEGRANK_{name}", "") for name in ("VOC", "WEIGHTS"))
    if voc and weights:
        real = folder / "quick"
        runs.append((real, Path(voc)))
        steps = [f"--set=training.{loss}.steps=50" for loss in ("start", "ce", "uoi", "iou", "uoi_ce")]
        given = ("--voc", voc, "--weights", weights, "--experiment", "quick", "--limit", "40", *steps)
        yield ("run", "--out", f"{real}", *given)
    for run, data in runs:
        name = run.name
        yield ("report", f"{run}", "--out", f"{folder / name}.html")
        for what in ("labels", "voc", "proposals"):
            yield ("export", what, f"{run}", "--out", f"{folder / name}-{what}")
        yield ("export", "safetensors", f"{run}", "--out", f"{folder / name}.safetensors")
        yield ("export", "onnx", f"{run}", "--out", f"{folder / name}.onnx")
        yield ("verify", f"{run}")
        photographs = sorted((data / "JPEGImages").glob("*.jpg"))[:20]
        yield ("predict", *map(str, photographs), "--run", f"{run}", "--out", f"{folder / name}-predicted")
        yield ("evaluate", f"{folder / name}-labels", "--voc", f"{data}")
    yield ("evidence", f"{runs[-1][0]}", "all", "--seeds", "0")
    archive = voc_archive(folder / "published", train=200, val=100)
    root = folder / "fetched" / "VOCdevkit" / "VOC2012"
    yield ("fetch", "voc2012", "--archive", f"{archive}", "--to", f"{folder / 'fetched'}")
    masks = {name: annotation(mask) for name, mask in sbd_masks(root).items()}
    sbd = sbd_archive(folder / "published" / "benchmark.tgz", masks)
    yield ("fetch", "sbd", "--archive", f"{sbd}", "--to", f"{folder / 'fetched'}")


def main() -> None:
    """Run the long form."""
    folder = asked_folder(__doc__, "pace")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = f"{folder / 'compiled'}"  # so that the first commands compile, as a new user's do
    worst = 0.0
    for arguments in commands(folder):
        command = Watched(*arguments, temporary=folder / "temporary")
        code = command.wait()
        silence = command.longest()
        worst = max(worst, silence.work)
        print(f"{' '.join(arguments)[:100]}: exit code {code}", flush=True)
        for one in command.silences:
            if one.seconds > 1:
                print(f"  {one.seconds:.1f} s, {one.work:.1f} s of work, after: {one.after}", flush=True)
    print(f"longest silence: {worst:.1f} s of work")


if __name__ == "__main__":
    main()
