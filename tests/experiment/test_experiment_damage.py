"""Readers of a run's files name the one that is damaged."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tinysegrank.errors import CheckpointError, TinySegRankError
from tinysegrank.experiment import Silent
from tinysegrank.experiment.images import images_of
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.stages import classifiers, coarse, described, features, picked, ranker, superpixels

pytestmark = pytest.mark.slow


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


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
