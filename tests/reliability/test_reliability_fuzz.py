"""Damaged and hostile files of every kind are refused in one line: the short form of `fuzz.py`."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_only_the_library_s_own_errors_come_out():
    command = [sys.executable, "-m", "tests.reliability.fuzz", "--inputs", "500", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("13000 inputs of 26 readers, 0 failed\n")
    harmless = [line.partition(":")[0] for line in done.stdout.splitlines() if ", 0 refused" in line]
    assert harmless == ["stamp"]  # a damaged one counts as none, so that its stage is made anew
