"""Damage every kind of file of a run in every way, and check that each is noticed, named and made anew.

    python -m tests.reliability.damage --folder FOLDER

makes a small run with evidence, and another of another seed. Then, one by one, a file of each kind in the run is cut,
changed by one bit with its size and time kept, deleted, and replaced by that of the other run. Each time `verify` must
name exactly that file, and the next command must make it anew, to the same bytes. What labels photographs and what
writes the report must refuse the run if they read the file. At last each stage's whole folder comes from the other run.

The suite runs the short form, `test_reliability_damage.py`, which damages all files of a run at once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tests.conftest import tiny_settings
from tests.reliability.command_line import asked_folder
from tinysegrank.errors import TinySegRankError
from tinysegrank.evidence import collect_evidence
from tinysegrank.evidence.verify import Verified, verify
from tinysegrank.experiment import STAGES, Run, Segmenter, Settings, Silent, run_experiment
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.segmenter import NEEDS
from tinysegrank.exporting.html_report import write_html_report
from tinysegrank.stamps import STAMP, read_stamp
from tinysegrank.voc import make_toy_voc

KEPT_BY_TIME = {"seconds.json", STAMP, ".lock"}  # they hold times, so another run has others
SHARED = ("evidence/judge", "evidence/rankers")  # by several pieces
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
    """Put the same file of another run in its place; if that is no different, but for times, other bytes."""
    content = other.read_bytes() if other.is_file() else b""
    same = content == file.read_bytes() or (file.name == STAMP and alike(file.parent, other.parent))
    file.write_bytes(content if content and not same else b"of another run")


def alike(folder: Path, other: Path) -> bool:
    """Return whether two folders' stamps differ in times only, or in the key of a piece of evidence."""
    stamps, piece = (read_stamp(folder), read_stamp(other)), folder.parent.name == "evidence"
    return len({(stamp.content(), None if piece else stamp.key) for stamp in stamps}) == 1


def delete(file: Path, other: Path) -> None:
    """Delete a file."""
    file.unlink()


def exchange_folder(folder: Path, other: Path) -> None:
    """Put the same folder of another run in its place."""
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


DAMAGES: dict[str, Damage] = {"cut": cut, "one bit": flip, "deleted": delete, "of another run": exchange}
WHOLE = "whole stage of another run"


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


def check(path: Path, place: str, before: dict[str, bytes], settings: Settings) -> int:
    """Check that one damage is noticed, refused and repaired; return the number of commands that refused the run.

    Raises:
        AssertionError: it isn't.
    """
    found, stage = verified(path), place.partition("/")[0]
    noticed = [found] if isinstance(found, str) else found.damage
    if place.startswith("evidence/") and place.endswith(STAMP):  # nothing says whether the stamp or the files are wrong
        assert noticed and all(line.startswith(f"{Path(place).parent}/") for line in noticed), noticed
    else:
        assert len(noticed) == 1 and place in noticed[0], noticed
    said = refusals(path, path.parent)
    assert all("\n" not in one for one in said), said
    missing = isinstance(found, Verified) and found.damage == ["manifest.json: is missing or damaged"]
    expected = 0 if stage == "evidence" or missing else 1 + (stage in {need.name for need in NEEDS})
    assert len(said) >= expected, said
    repair(path, settings, PIECES)
    after = contents(path)
    gone = {name for name in before if name.startswith(SHARED) and name not in after}  # made anew when it is needed
    assert after == {name: data for name, data in before.items() if name not in gone}, [
        name for name in {**before, **after} if after.get(name) != before.get(name)
    ]
    assert not gone or place in gone
    again = verified(path)
    assert isinstance(again, Verified) and not again.damage and not again.stale, again
    return len(said)


def prepare(folder: Path) -> Settings:
    """Make a small run with evidence, `run`, and another of another seed, `other`, unless they are there already."""
    settings = tiny_settings(folder / "voc")
    if not (folder / "ready").exists():
        make_toy_voc(folder / "voc", train=10, val=6, seed=5)
        for name, seed in (("run", 0), ("other", 1)):
            repair(folder / name, replace(settings, seed=seed), PIECES)
        (folder / "ready").touch()
    return settings


def main() -> None:
    """Run the long form."""
    folder = asked_folder(__doc__, "damage")
    folder.mkdir(parents=True, exist_ok=True)
    settings, whole, other, path = prepare(folder), folder / "run", folder / "other", folder / "damaged"
    before, results = contents(whole), folder / "results.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    stages = [whole / stage.name for stage in STAGES if stage.used(settings)]
    cases: list[tuple[Path, str]] = [(file, name) for file in one_of_each_kind(whole) for name in DAMAGES]
    cases += [(stage, WHOLE) for stage in stages if contents(stage) != contents(other / stage.name)]
    known = {(place, damage) for place, damage, *_ in done}
    for source, damage in cases:
        place = source.relative_to(whole)
        if (str(place), damage) in known:
            continue
        if not path.exists():
            shutil.copytree(whole, path)
        fault, refused = "", 0
        try:
            DAMAGES.get(damage, exchange_folder)(path / place, other / place)
            refused = check(path, str(place), before, settings)
            if contents(path) != before:
                shutil.rmtree(path)
        except Exception as error:  # it is what is looked for
            fault = f"{type(error).__name__}: {error}"
            shutil.rmtree(path)  # the next case begins with a whole one
        done.append([str(place), damage, refused, fault])
        with results.open("a") as stream:
            stream.write(json.dumps(done[-1]) + "\n")
    faults = [one for one in done if one[3]]
    print(f"noticed and made anew: {dict(Counter(damage for _, damage, _, fault in done if not fault))}")
    print(f"refused by predict or report: {sum(refused for _, _, refused, _ in done)}; holes: {len(faults)}")
    for one in faults:
        print(*one)
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
