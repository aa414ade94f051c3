"""No command works for long without a sign of life on the terminal: the short form of `pace.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.pace import ALLOWED, Watched
from tests.reliability.processes import prepare

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("default_signals")]


def test_a_silence_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow.py").write_text("import time\nwhile time.process_time() < 3:\n    pass\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TINYSEGRANK_PLUGINS", "slow")
    command = Watched("toyvoc", tmp_path / "toy", "--train", 1, "--jobs", 1, temporary=tmp_path / "temporary")
    assert command.wait() == 0
    silence = command.longest()
    assert silence.work > ALLOWED and silence.after == "its start"


def test_no_command_is_silent_for_long(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for arguments in (
        [*prepare(tmp_path), "--out", run],
        ["evidence", run, "table-2"],
        ["report", run],
        ["export", "labels", run, "--out", tmp_path / "labels"],
    ):
        command = Watched(*arguments, temporary=tmp_path / "temporary")
        assert command.wait() == 0, command.said()
        silence = command.longest()
        assert silence.work < ALLOWED, silence
