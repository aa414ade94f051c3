"""Every kind of file of a run, damaged: the next run notices, replaces just that, and ends with the same bytes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tinysegrank.errors import CheckpointError, TinySegRankError
from tinysegrank.experiment import STAGES, Segmenter, Silent, run_experiment
from tinysegrank.experiment.artifacts import STAMP, damaged_files
from tinysegrank.experiment.images import images_of
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.stages import classifiers, coarse, described, features, picked, ranker, superpixels
from tinysegrank.exporting.html_report import write_html_report

pytestmark = pytest.mark.slow

KEPT_BY_TIME = {"seconds.json"}  # holds times, so another run has another


def contents(run: Path) -> dict[str, bytes]:
    files = [file for file in sorted(run.rglob("*")) if file.is_file() and file.name != STAMP]
    return {str(file.relative_to(run)): file.read_bytes() for file in files if file.name not in KEPT_BY_TIME}


def one_of_each_kind(run: Path) -> list[Path]:
    """One file of every stage, folder and kind; files that differ in numbers and image names alone are of one kind."""
    kinds: dict[str, Path] = {}
    for stage in STAGES:
        for file in sorted(run.joinpath(stage.name).rglob("*")):
            if file.is_file() and file.name not in {STAMP, *KEPT_BY_TIME}:
                kinds[re.sub(r"\d+", "0", str(file.relative_to(run)))] = file
    return list(kinds.values())


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def exchange(file: Path) -> None:
    others = (other.read_bytes() for other in sorted(file.parent.iterdir()) if other.suffix == file.suffix)
    file.write_bytes(next((other for other in others if other != file.read_bytes()), b"of another run"))


@pytest.mark.parametrize("damage", [cut, flip, exchange, Path.unlink], ids=["cut", "flipped", "exchanged", "deleted"])
def test_damage_of_any_kind_is_replaced(tmp_path, tiny_run, damage):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence"))
    before, files = contents(path), one_of_each_kind(path)
    assert {file.relative_to(path).parts[0] for file in files} == {
        stage.name for stage in STAGES if stage.used(tiny_run.settings)
    }
    for file in files:
        damage(file)
    noticed = {path / stage.name / name for stage in STAGES for name in damaged_files(path / stage.name)}
    assert noticed == set(files)
    for use in (
        lambda: Segmenter(path, progress=Silent()),
        lambda: write_html_report(opened(path), tmp_path / "a.html"),
    ):
        with pytest.raises(CheckpointError, match="is missing or changed since it was written; repeat the command"):
            use()
    run_experiment(path, tiny_run.settings, jobs=1, progress=Silent())
    assert contents(path) == before
    Segmenter(path, progress=Silent())


def opened(path: Path):
    return read_run(path, jobs=1, progress=Silent())


def readers(run):
    """A reader of each kind of file that a stage reads."""
    return {
        "features/train/chunk_00000.features.npy": lambda: features.store(run, "train").gather("features"),
        "features/train/chunk_00000.targets.npy": lambda: features.store(run, "train").gather("targets"),
        "features/scale.json": lambda: features.read_scale(run),
        "coarse/train.npy": lambda: coarse.read_coarse(run, "train"),
        "classifiers/val.descriptors.npy": lambda: classifiers.scores_of(run, "val"),
        "superpixels/val": lambda: superpixels.read_superpixels(images_of(run, "val")[0]),
        "described/columns.json": lambda: described.load_described(run, "val"),
        "described/val": lambda: described.load_described(run, "val"),
        "ranker/ranker.safetensors": lambda: ranker.load_ranker(run),
        "picked/oracle_curve.json": lambda: picked.read_oracle_curve(run),
    }


@pytest.mark.parametrize("damage", [cut, Path.unlink], ids=["cut", "deleted"])
def test_a_damaged_file_is_named_by_whoever_reads_it(tmp_path, tiny_run, damage):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence"))
    for place, read in readers(opened(path)).items():
        file = path / place
        if file.is_dir():
            file = sorted(file.iterdir())[0]
        read()
        damage(file)
        with pytest.raises(CheckpointError, match=re.escape(str(file))) as caught:
            read()
        assert len(str(caught.value)) < 300 + len(str(file))
        shutil.copyfile(tiny_run.path / file.relative_to(path), file)


def test_a_system_without_free_file_numbers_is_not_damage(tmp_path, tiny_run, monkeypatch):
    store = features.store(tiny_run, "train")
    store.gather("features")

    def refuse(*arguments, **options):
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TinySegRankError, match="Too many open files") as caught:
        store.gather("features")
    assert "damaged" not in str(caught.value)
    assert "delete" not in str(caught.value)
