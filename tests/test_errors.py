"""Errors of the operating system and warnings, as one line each."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinysegrank.errors import explain_os_error


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.EACCES, "permissions"),
        (errno.ENOSPC, "free some space"),
        (errno.EIO, "check the disk"),
        (errno.ENOENT, "check the path"),
    ],
)
def test_the_cause_is_the_systems_word_and_a_remedy_follows(number, remedy):
    text = explain_os_error("a/b.png", OSError(number, os.strerror(number), "a/b.png"))
    assert text.startswith(f"a/b.png: cannot be read: {os.strerror(number)}; ")
    assert remedy in text and "damage" not in text


def test_other_causes_and_writing():
    error = OSError(errno.ENXIO, "No such device or address")
    assert explain_os_error("x", error, action="written") == "x: cannot be written: No such device or address"
    assert explain_os_error("x", OSError("no number")) == "x: cannot be read: no number"
    assert explain_os_error("x", TimeoutError()) == "x: cannot be read: TimeoutError"


WARNS = """
import logging
import warnings
import numpy as np
warnings.warn_explicit("of a library", UserWarning, "c.py", 3, module="joblib.parallel")
warnings.warn_explicit("of NumPy", RuntimeWarning, "a.py", 1, module="tinysegrank.nn.conv")
warnings.warn_explicit("stopped after 3 steps; raise max_iter", UserWarning, "b.py", 2, module="tinysegrank.ranking")
np.exp(np.float32(1e9))
logging.getLogger("PIL.TiffImagePlugin").error("More samples per pixel than can be decoded: 7")
"""
SHOWN = "warning: stopped after 3 steps; raise max_iter\n"


@pytest.mark.parametrize(("flags", "plain"), [([], True), (["-W", "default"], False)])
def test_a_command_shows_the_package_s_own_warnings_plainly(tmp_path, flags, plain):
    (tmp_path / "mine.py").write_text(WARNS)
    command = [sys.executable, *flags, "-m", "tinysegrank", "--version"]
    environment = {**os.environ, "TINYSEGRANK_PLUGINS": "mine", "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.startswith("tinysegrank ")
    assert (done.stderr == SHOWN) is plain and "stopped after 3 steps" in done.stderr


@pytest.mark.slow
def test_worker_processes_show_warnings_plainly():
    """`exec` takes a text, so that the workers need no module of this test."""
    script = f"from tinysegrank.parallel import parallel_map\nlist(parallel_map(exec, [{WARNS!r}] * 2, jobs=2))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stderr.splitlines(keepends=True)) == {SHOWN}
