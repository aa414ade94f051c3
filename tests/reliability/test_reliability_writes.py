"""Writes that fail: the resumed run has the same bytes; the short form of `writes.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.kills import check, log_of, points, results
from tests.reliability.writes import WAYS, Failure, fail_once

pytestmark = pytest.mark.slow


def test_some_writes_of_every_stage_fail(tmp_path, tiny_run):
    voc, path, failed = Path(tiny_run.settings.data.voc), tmp_path / "run", list[Failure]()
    at = points(log_of(tmp_path / "whole", voc, evidence=False))[2::9]
    while fail_once(path, voc, failed, evidence=False, only=at):
        pass
    assert set(failed) == {(*point, way) for point in at for way in WAYS}
    check(path, results(tmp_path / "whole"))
