"""Damaged and hostile files of every kind are refused in one line: the short form of `fuzz.py`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tinysegrank.experiment import artifacts
from tinysegrank.files import write_text
from tinysegrank.stamps import STAMP, File, Key, Stamp

pytestmark = pytest.mark.slow


def test_only_the_library_s_own_errors_come_out():
    command = [sys.executable, "-m", "tests.reliability.fuzz", "--inputs", "500", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("13000 inputs of 26 readers, 0 failed\n")
    harmless = [line.partition(":")[0] for line in done.stdout.splitlines() if ", 0 refused" in line]
    assert harmless == ["stamp"]  # a damaged one counts as none, so that its stage is made anew


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "{folder}/outside", "a\0b", "\ud800"])
def test_a_stamp_that_names_a_file_outside_its_folder_deletes_nothing(name, tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "stage"
    outside.write_text("of the user")
    key = Key("a", "b")
    stamp = Stamp(key, complete=True, files={name.format(folder=tmp_path): File(1, 1, "c")})
    write_text(folder / STAMP, json.dumps(stamp.to_json()))
    artifacts.make(folder, key, lambda: None)
    assert outside.read_text() == "of the user"
