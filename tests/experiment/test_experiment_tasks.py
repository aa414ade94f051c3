"""Tasks of a stage: only those that are missing are done, and progress counts the others as done."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from tinysegrank.experiment import Run, Settings
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.tasks import do_missing, map_tasks


class Counting(Progress):
    def __init__(self):
        self.total, self.advanced = 0, []

    @contextmanager
    def count(self, what, total):
        self.total = total
        yield self.advanced.append


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path, Settings(), 1, Counting())


def test_a_task_is_done_if_one_of_its_files_or_folders_is_missing(tmp_path, run):
    called = []
    for name in ("whole/a", "whole/b", "half/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folders/a").mkdir(parents=True)
    (tmp_path / "folders/b").mkdir()
    tasks = ["whole", "half", "folders", "none"]
    do_missing(run, "things", called.append, tasks, lambda task: [tmp_path / task / name for name in "ab"], units=len)
    assert called == ["half", "none"]
    assert run.progress.total == len("wholehalffoldersnone")
    assert run.progress.advanced == [len("wholefolders"), len("half"), len("none")]


def test_results_come_in_order(run):
    assert list(map_tasks(run, "numbers", abs, [-3, 2, -1])) == [3, 2, 1]
    assert (run.progress.total, sum(run.progress.advanced)) == (3, 3)
