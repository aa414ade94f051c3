"""However a command is ended, it leaves no process and no temporary file: the short form of `processes.py`."""

from __future__ import annotations

import time

import pytest

from tests.reliability.processes import GRACE, WAYS, Command, check_end, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("default_signals")]


@pytest.mark.parametrize("way", WAYS)
def test_a_command_that_is_ended_leaves_nothing(way, tmp_path):
    toy = tmp_path / "toy"
    command = Command("toyvoc", toy, "--train", 100_000, "--jobs", 2, temporary=tmp_path / "temporary")
    wait_until(lambda: len(list(toy.glob("JPEGImages/*.jpg"))) > 3, command)
    assert len(command.alive()) >= 3  # with its two workers
    check_end(command, way, [tmp_path])


def test_an_error_in_one_worker_ends_the_others(tmp_path):
    toy = tmp_path / "toy"
    command = Command("toyvoc", toy, "--train", 100_000, "--jobs", 2, temporary=tmp_path / "temporary")
    wait_until(lambda: len(list(toy.glob("JPEGImages/*.jpg"))) > 3, command)
    masks = toy / "SegmentationClass"
    masks.rename(toy / "away")
    masks.write_text("in the way of the folder")
    code, ended = command.wait(), time.monotonic()
    while left := command.alive():
        assert time.monotonic() - ended < GRACE, left
    assert code == 1
    said = command.said().strip()
    assert said.startswith("error: ") and "it or a folder above it is a file" in said and said.count("\n") == 0, said
    assert not list(tmp_path.rglob(".*.tmp"))
