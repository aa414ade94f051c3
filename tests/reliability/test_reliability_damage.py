"""Every kind of file of a run, damaged: it is noticed, refused, and made anew; the short form of `damage.py`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tests.reliability.damage import DAMAGES, contents, flip, one_of_each_kind, refusals, repair, verified
from tinysegrank.cli import app
from tinysegrank.errors import CheckpointError
from tinysegrank.evidence import collect_evidence
from tinysegrank.evidence.verify import Verified
from tinysegrank.experiment import STAGES, Silent, run_experiment
from tinysegrank.files import read_json
from tinysegrank.stamps import STAMP

pytestmark = pytest.mark.slow


@pytest.fixture
def path(tmp_path, tiny_run):
    return shutil.copytree(tiny_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("evidence", ".lock*"))


@pytest.fixture(scope="module")
def other(tmp_path_factory, tiny_run):
    """A run of another seed, up to the features."""
    settings = replace(tiny_run.settings, seed=1)
    return run_experiment(tmp_path_factory.mktemp("other"), settings, jobs=1, progress=Silent(), until="features").path


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_of_every_kind_of_file(path, tmp_path, tiny_run, other, damage):
    before = contents(path)
    files = [file for file in one_of_each_kind(path) if file.parent != path and file.name != STAMP]
    assert {file.relative_to(path).parts[0] for file in files} == {
        stage.name for stage in STAGES if stage.used(tiny_run.settings)
    }
    for file in files:
        damage(file, other / file.relative_to(path))
    result = call("verify", path, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert {path / line.partition(": ")[0] for line in found["damage"]} == set(files)
    assert len(refusals(path, tmp_path)) == 2
    with pytest.raises(CheckpointError, match="is missing or changed since it was written"):
        collect_evidence(path, ("table-1",), jobs=1, progress=Silent())
    repair(path, tiny_run.settings)
    assert contents(path) == before
    assert verified(path) == Verified(found["files"], [], [], [], [])


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_of_stamps_manifest_and_settings(path, tmp_path, tiny_run, other, damage):
    before = contents(path)
    for name in (f"evaluation/{STAMP}", "manifest.json", "run.toml"):
        damage(path / name, other / name)
        found = verified(path)
        assert name in (found if isinstance(found, str) else "\n".join(found.damage))
        assert refusals(path, tmp_path) or (name, damage) == ("manifest.json", DAMAGES["deleted"])
        repair(path, tiny_run.settings)
        assert contents(path) == before
        assert isinstance(again := verified(path), Verified) and not again.damage


def test_a_file_that_a_training_lost_is_made_anew_without_the_others(path, tiny_run):
    before = contents(path)
    (path / "training" / "all-ce" / "step.txt").unlink()
    repair(path, tiny_run.settings)
    assert contents(path) == before


def test_settings_that_were_edited_are_not_taken_for_those_of_the_run(path, tiny_run):
    before, file = contents(path), path / "run.toml"
    held = file.read_text()
    file.write_text(held.replace("splits = 2", "splits = 3"))
    result = call("run", "--voc", tiny_run.settings.data.voc, "--config", file, "--out", path, "--jobs", 1)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {file}: was changed since the run was made; undo the change, or pass --update to make anew what "
        "depends on it\n"
    )
    repair(path, tiny_run.settings)  # the command that made it puts them back
    assert contents(path) == before and file.read_text() == held


def test_evidence_that_is_damaged_is_made_anew_with_its_seeds(tmp_path, tiny_run, evidence):
    run = shutil.copytree(tiny_run.path, tmp_path / "run", ignore=shutil.ignore_patterns(".lock*"))
    (run / "evidence" / "from-scratch" / "table.md").write_text("")
    shared = run / "evidence" / "judge" / "cells"
    (shared / "cells.npy").write_bytes(b"")
    found = verified(run)
    assert [line.partition(":")[0] for line in found.damage] == [
        "evidence/from-scratch/table.md", "evidence/judge/cells/cells.npy"
    ]  # fmt: skip
    own = [command for command in found.commands if "from-scratch" in command]
    assert own == [f"tinysegrank evidence {run} from-scratch --seeds 0,3"] and len(found.commands) <= 2
    collect_evidence(run, ("table-2",), seeds=(0, 3), jobs=1, progress=Silent())
    assert not shared.exists()  # for who needs it next


def test_a_bit_that_changed_quietly_is_noticed_by_who_reads_it_and_by_the_next_run(path, tmp_path, tiny_run):
    before, file = contents(path), path / "evaluation" / "confusions.npz"
    flip(file, file)
    repair(path, tiny_run.settings)
    assert contents(path) != before  # its size and time are the same, and nothing needed it
    said = refusals(path, tmp_path)
    assert said == [
        f"{file}: is missing or changed since it was written; repeat the command that made it, which replaces it"
    ]
    repair(path, tiny_run.settings)
    assert contents(path) == before


def test_a_stage_of_another_run_is_noticed(path, tmp_path, tiny_run, other):
    before = contents(path)
    shutil.rmtree(path / "trunk")
    shutil.copytree(other / "trunk", path / "trunk")
    result = call("verify", path)
    assert result.exit_code == 1
    cause, *stale, _, command = result.stdout.splitlines()
    assert cause == f"trunk/{STAMP}: is not that of the stage that manifest.json notes"
    assert stale == [f"stale: {stage}: was made from another trunk" for stage in ("features", "training", "maps")]
    assert command == f"next: tinysegrank run --voc {tiny_run.settings.data.voc} --config {path}/run.toml --out {path}"
    assert refusals(path, tmp_path)[0].startswith(f"{path}/training: was made from another trunk; make it anew by: ")
    repair(path, tiny_run.settings)
    assert contents(path) == before


def test_the_manifest_says_what_made_a_run(tiny_run):
    held = read_json(tiny_run.path / "manifest.json")
    assert held["seed"] == 0 and set(held["stages"]) == {s.name for s in STAGES if s.used(tiny_run.settings)}
    (maker,) = held["made_by"]
    assert maker["backend"].startswith("numpy ") and "tinysegrank of code" in maker["surroundings"]
    assert maker["processor"] and maker["BLAS"]
