"""Runs of another seed on the images, features and proposals of a run."""

from __future__ import annotations

import pytest

from tinysegrank.experiment.derived import run_seed
from tinysegrank.experiment.folder_lock import FolderLock

pytestmark = pytest.mark.slow


def test_a_derived_run_of_the_same_seed_is_the_run(tmp_path, tiny_run):
    run = run_seed(tiny_run, tmp_path / "again", tiny_run.settings.seed, FolderLock(tmp_path))
    described = sorted((run.path / "described").rglob("*.safetensors"))
    assert len(described) == 2 * (10 + 6)
    for file in described:
        assert file.read_bytes() == (tiny_run.path / file.relative_to(run.path)).read_bytes()
    for file in ("evaluation/confusions.npz", "coarse/train.npy", "ranker/ranker.safetensors"):
        assert (run.path / file).read_bytes() == (tiny_run.path / file).read_bytes()
