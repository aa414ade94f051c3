"""Errors of the operating system, as one line each."""

from __future__ import annotations

import errno
import os

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
