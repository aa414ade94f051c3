"""Damage every kind of file of a run in every way, and check that each is noticed, named and made anew.

    python -m tests.reliability.damage

makes a small run with evidence, and another of another seed. Then, one by one, a file of each kind in the run is cut,
changed by one bit with its size and time kept, deleted, and replaced by that of the other run. Each time `verify` must
name exactly that file, and the next command must make it anew, to the same bytes. What labels photographs and what
writes the report must refuse the run if they read the file. At last each stage's whole folder comes from the other run.

The suite runs the short form, `test_reliability_damage.py`, which damages all files of a run at once.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.conftest import tiny_settings
from tinysegrank.errors import TinySegRankError
from tinysegrank.evidence import collect_evidence
from tinysegrank.experiment import STAGES, Run, Segmenter, Settings, Silent, run_experiment
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.verify import Verified, verify
from tinysegrank.exporting.html_report import write_html_report
from tinysegrank.stamps import STAMP
from tinysegrank.voc import make_toy_voc

KEPT_BY_TIME = {"seconds.json", STAMP, ".lock"}  # they hold times, so another run has others
PIECES = ("table-1", "table-2", "figure-2", "from-scratch", "ablation")

Damage = Callable[[Path, Path], None]


def contents(run: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a run that doesn't hold times."""
    files = [file for file in sorted(run.rglob("*")) if file.is_file() and file.name not in KEPT_BY_TIME]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def one_of_each_kind(run: Path) -> list[Path]:
    """Return one file of every folder and kind; files that differ in numbers and image names alone are of one kind."""
    kinds: dict[str, Path] = {}
    for file in sorted(run.rglob("*")):
        inner = file.name == STAMP and file.parent.parent.name not in (run.name, "evidence")  # covered by the outer
        if file.is_file() and file.name != ".lock" and not inner:
            kinds[re.sub(r"\d+", "0", str(file.relative_to(run)))] = file
    return list(kinds.values())


def cut(file: Path, other: Path) -> None:
    """Cut a file in half."""
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path, other: Path) -> None:
    """Change one bit, as a disk does: size and time stay."""
    now, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(now.st_atime_ns, now.st_mtime_ns))


def exchange(file: Path, other: Path) -> None:
    """Put the same file of another run in its place; if that is no different, other bytes."""
    content = other.read_bytes() if other.is_file() else b""
    file.write_bytes(content if content not in (b"", file.read_bytes()) else b"of another run")


def delete(file: Path, other: Path) -> None:
    """Delete a file."""
    file.unlink()


DAMAGES: dict[str, Damage] = {"cut": cut, "one bit": flip, "deleted": delete, "of another run": exchange}


def verified(path: Path) -> Verified | str:
    """Verify a run; return what the command would say if it cannot be read at all."""
    try:
        return verify(read_run(path, jobs=1, progress=Silent()))
    except TinySegRankError as error:
        return str(error)


def refusals(path: Path, scratch: Path) -> list[str]:
    """Return what `predict` and `report` say of a run that they refuse."""
    said = []
    for use in (
        lambda: Segmenter(path, progress=Silent()),
        lambda: write_html_report(read_run(path, jobs=1, progress=Silent()), scratch / "a.html"),
    ):
        try:
            use()
        except TinySegRankError as error:
            said.append(str(error))
    return said


def repair(path: Path, settings: Settings, pieces: tuple[str, ...] = ()) -> Run:
    """Do what makes damaged files anew: repeat the commands that made the run and its evidence."""
    run = run_experiment(path, settings, jobs=1, progress=Silent())
    if pieces:
        collect_evidence(path, pieces, seeds=(0,), jobs=1, progress=Silent())
    return run


def check(path: Path, file: Path, before: dict[str, bytes], settings: Settings) -> list[str]:
    """Check that the damage of one file is noticed and repaired; return the refusals.

    Raises:
        AssertionError: it isn't.
    """
    place, found = str(file.relative_to(path)), verified(path)
    noticed = [found] if isinstance(found, str) else found.damage
    assert (len(noticed) == 1 and place in noticed[0]) or (file.name == "run.toml" and noticed), (place, noticed)
    said = refusals(path, path.parent)
    assert all("\n" not in one for one in said), said
    repair(path, settings, PIECES if place.startswith("evidence") or file.name == STAMP else ())
    after = contents(path)
    assert after == before, (place, [name for name in before if after.get(name) != before[name]])
    again = verified(path)
    assert isinstance(again, Verified) and not again.damage, again
    return said


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take every so-manieth kind of file only (1)")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tinysegrank-damage-"))
    make_toy_voc(folder / "voc", train=10, val=6, seed=5)
    settings, path, other = tiny_settings(folder / "voc"), folder / "run", folder / "other"
    repair(path, settings, PIECES)
    run_experiment(other, Settings(**{**vars(settings), "seed": 1}), jobs=1, progress=Silent())
    collect_evidence(other, PIECES, seeds=(0,), jobs=1, progress=Silent())
    before, kinds, counts = contents(path), one_of_each_kind(path)[:: asked.every], Counter[str]()
    for file in kinds:
        for name, damage in DAMAGES.items():
            damage(file, other / file.relative_to(path))
            counts["refused"] += len(check(path, file, before, settings))
            counts[name] += 1
    for stage in (stage for stage in STAGES if stage.used(settings)):
        if contents(path / stage.name) == contents(other / stage.name):
            continue
        shutil.rmtree(path / stage.name)
        shutil.copytree(other / stage.name, path / stage.name)
        found = verified(path)
        assert isinstance(found, Verified) and found.damage, stage.name
        repair(path, settings, PIECES)
        assert contents(path) == before
        counts["whole stages of another run"] += 1
    shutil.rmtree(folder)
    print(f"{len(kinds)} kinds of files; noticed and made anew: {dict(counts)}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
