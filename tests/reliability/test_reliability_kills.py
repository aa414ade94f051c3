"""Kills: the resumed run has the same bytes; the short form of `kills.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.kills import check, kill_at, log_of, points, results

pytestmark = pytest.mark.slow


def test_six_kills(tmp_path, tiny_run):
    voc = Path(tiny_run.settings.data.voc)
    at, path = points(log_of(tmp_path / "whole", voc, evidence=False)), tmp_path / "run"
    for point in at[4 :: len(at) // 6][:6]:
        kill_at(path, voc, point, evidence=False)
    kill_at(path, voc, ("", 0), evidence=False)
    check(path, results(tmp_path / "whole"))
