"""A whole run on CuPy, twice: the same files to the bit, but for the times in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import tiny_settings
from tests.gpu.make_believe_cupy import tally
from tinysegrank.backend import VARIABLE, Backend
from tinysegrank.experiment import Silent, run_experiment
from tinysegrank.voc import make_toy_voc

TIMED = ("stamp.json", "seconds.json")


@pytest.mark.slow
def test_two_runs_are_the_same_bit_for_bit(
    cupy: Backend, is_real: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the last device, while the first is current."""
    monkeypatch.setenv(VARIABLE, f"cupy:{cupy.xp.cuda.runtime.getDeviceCount() - 1}")
    make_toy_voc(tmp_path / "voc", train=10, val=6, seed=5)
    launches, files = [], []
    for name in ("one", "other"):
        tally.reset()
        run_experiment(tmp_path / name, tiny_settings(tmp_path / "voc"), jobs=1, progress=Silent())
        launches.append(tally.launches)
        paths = (path for path in (tmp_path / name).rglob("*") if path.is_file() and path.name not in TIMED)
        files.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in paths})
    assert launches[0] == launches[1]
    assert is_real or launches[0]["tinysegrank_dropout"] > 0
    assert files[0].keys() == files[1].keys()
    for path, content in files[0].items():
        assert files[1][path] == content, path
    assert any(path.startswith("report") for path in files[0])
