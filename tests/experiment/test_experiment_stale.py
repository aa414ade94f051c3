"""Whatever a stage reads is in its key: change it, and what depends on it is made anew, and nothing else is."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysegrank.backend import get_backend
from tinysegrank.errors import ConfigError
from tinysegrank.experiment import STAGES, Run, Settings, Silent, protocol, run_experiment, runner
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.files import read_json, write_json
from tinysegrank.stamps import File, Key, read_stamp
from tinysegrank.voc import VOCSegmentation

pytestmark = pytest.mark.slow

FITTED = {"trunk", "training", "proposing", "ranker"}  # from training images alone


@pytest.fixture
def own(tmp_path, tiny_run) -> Settings:
    """Settings for a copy of the tiny run and of its data, which may be changed; nothing of it is stale."""
    voc = tmp_path / "voc"
    shutil.copytree(tiny_run.settings.data.voc, voc)
    shutil.copytree(tiny_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("evidence"))
    settings = replace(tiny_run.settings, data=replace(tiny_run.settings.data, voc=str(voc)))
    assert made(tmp_path / "run", settings) == {"data"}
    return settings


def stamps(path: Path) -> dict[str, int]:
    return {file.parent.name: file.stat().st_mtime_ns for file in path.glob("*/stamp.json")}


def made(path: Path, settings: Settings, until: str = "report") -> set[str]:
    """The stages that a call with --update makes anew; a second call makes none."""
    before = stamps(path)
    run_experiment(path, settings, jobs=1, progress=Silent(), update=True, until=until)
    after = stamps(path)
    run_experiment(path, settings, jobs=1, progress=Silent(), update=True, until=until)
    assert stamps(path) == after
    return {stage for stage in after if after[stage] != before.get(stage)}


def results(path: Path) -> dict[str, bytes]:
    files = [file for stage in ("picked", "report") for file in (path / stage).rglob("*") if file.is_file()]
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in files
        if file.name not in ("stamp.json", "seconds.json")
    }


def lines(settings: Settings, which: str) -> tuple[Path, list[str]]:
    file = Path(settings.data.voc) / "ImageSets" / "Segmentation" / f"{which}.txt"
    return file, file.read_text().split()


def test_a_reversed_split_and_a_harmless_setting_give_what_a_fresh_run_gives(tmp_path, own):
    file, names = lines(own, "val")
    file.write_text("\n".join(reversed(names)))
    settings = replace(own, report=replace(own.report, panels=1))
    changed = made(tmp_path / "run", settings)
    assert changed == set(stamps(tmp_path / "run")) - FITTED
    run_experiment(tmp_path / "fresh", settings, jobs=1, progress=Silent())
    assert results(tmp_path / "run") == results(tmp_path / "fresh")
    assert read_json(tmp_path / "run" / "picked" / "picks.json")["images"] == names[::-1]


def test_an_image_moved_to_the_other_split(tmp_path, own):
    (train, names), (val, others) = lines(own, "train"), lines(own, "val")
    train.write_text("\n".join(names[1:]))
    val.write_text("\n".join([*others, names[0]]))
    assert made(tmp_path / "run", own) == set(stamps(tmp_path / "run")) - {"trunk"}
    run_experiment(tmp_path / "fresh", own, jobs=1, progress=Silent())
    assert results(tmp_path / "run") == results(tmp_path / "fresh")


def test_an_object_mask_is_read_by_the_segments_alone(tmp_path, own):
    split = VOCSegmentation(own.data.voc, "train")
    path, labels = split.instances_path(0), split.labels(0)
    path.parent.mkdir(exist_ok=True)
    numbers = np.where(labels == 255, 255, labels > 0).astype(np.uint8)
    Image.fromarray(numbers).save(path)
    assert made(tmp_path / "run", own) == {"data"}
    numbers[: len(numbers) // 2] *= 2
    Image.fromarray(numbers * (numbers < 3)).save(path)
    assert made(tmp_path / "run", own) == {"data"}  # the CRF does not look at objects
    paste = replace(own, proposals=replace(own.proposals, engine="paste"))
    (segments,) = (stage for stage in STAGES if stage.name == "segments")
    run = Run(tmp_path / "run", paste, 1, Silent())
    before = runner.stage_key(run, segments, {"data"})
    Image.fromarray(numbers * 0).save(path)
    run_experiment(tmp_path / "run", own, jobs=1, progress=Silent(), until="data")
    assert runner.stage_key(run, segments, {"data"}) != before


@pytest.mark.parametrize("name", ["scores.json", "segments.json"])
def test_what_is_said_of_proposals_made_elsewhere(tmp_path, own, name):
    elsewhere, run = tmp_path / "elsewhere", Run(tmp_path / "run", own, 1, Silent())
    for which in ("train", "val"):
        shutil.copytree(store(run, which).root, elsewhere, dirs_exist_ok=True)
    settings = replace(own, proposals=replace(own.proposals, engine="folder", folder=str(elsewhere)))
    made(tmp_path / "run", settings)
    one = {"classes": [1], "scores": [2.5], "pixels": [40]}
    content = {"scores.json": [0.25, 0.0, -1.0, -2.0], "segments.json": [one, None, None, None]}[name]
    write_json(elsewhere / lines(own, "val")[1][0] / name, content)
    # the picks came out the same, so the report is kept
    assert made(tmp_path / "run", settings) == {"proposals", "described", "picked", "evaluation"}


def test_another_backend(tmp_path, own, monkeypatch):
    monkeypatch.setattr(protocol, "check_backends", lambda: replace(get_backend(), name="another"))
    with pytest.raises(ConfigError, match=r"backend was 'numpy on cpu', is now 'another on \?'.*--update"):
        run_experiment(tmp_path / "run", own, jobs=1, progress=Silent())
    assert made(tmp_path / "run", own) == {"trunk", "maps", "features", "training", "coarse"}


def test_the_readable_functions_instead_of_the_compiled(tmp_path, own, monkeypatch):
    run, names = Run(tmp_path / "run", own, 1, Silent()), {stage.name for stage in STAGES}
    before = {stage.name: runner.stage_key(run, stage, names) for stage in STAGES}
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "0")
    for stage in STAGES:
        assert runner.stage_key(run, stage, names).made_from != before[stage.name].made_from, stage.name
    assert made(tmp_path / "run", own, until="data") == {"data"}


def test_the_weight_file_is_read_by_the_trunk_and_the_classifiers(tmp_path, tiny_run):
    """Its fc6 and fc7 describe images, and are in no feature of the trunk."""
    shutil.copytree(tiny_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("evidence"))
    run = replace(tiny_run, path=tmp_path / "run")
    used = [stage for stage in STAGES if stage.used(run.settings)]

    def keys() -> dict[str, Key]:
        return {stage.name: runner.stage_key(run, stage, [stage.name for stage in used]) for stage in used}

    before, stamp = keys(), read_stamp(run.folder("data"))
    files = {**stamp.files, "weights.json": File(2, 0, "0" * 64)}  # as of another file with the same conv1 to conv5
    write_json(run.folder("data") / "stamp.json", replace(stamp, files=files).to_json())
    assert {name for name, key in keys().items() if key != before[name]} == {"trunk", "classifiers"}
