"""Kills: the resumed run has the same bytes; the short form of `kills.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.kills import count_writes, kill_often, results

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_run):
    """The bytes of an undisturbed run, its number of writes, and its data."""
    path, voc = tmp_path_factory.mktemp("kills") / "run", Path(tiny_run.settings.data.voc)
    writes = count_writes(path, voc, evidence=False)
    return results(path), writes, voc


def test_six_kills(tmp_path, whole):
    expected, writes, voc = whole
    assert kill_often(tmp_path / "run", voc, 6, writes, evidence=False) == 6
    assert results(tmp_path / "run") == expected
