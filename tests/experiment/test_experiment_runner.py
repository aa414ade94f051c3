"""Stages are kept, resumed or made anew by what they were made from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tinysegrank.errors import ConfigError
from tinysegrank.experiment import Settings, Silent
from tinysegrank.experiment.runner import Stage, execute, open_run

pytestmark = pytest.mark.slow


class Work:
    """A chain of three stages that counts how often each ran."""

    def __init__(self):
        self.ran = []
        self.outside = "as it was"
        self.first_result = None
        self.interrupt = False
        self.stages = (
            Stage("first", self.first, outside=lambda settings: self.outside),
            Stage("second", self.second, ("first",), lambda settings: settings.seed),
            Stage("third", self.third, ("second",)),
        )

    def first(self, run):
        self.ran.append("first")
        return self.first_result

    def second(self, run):
        self.ran.append("second")
        done = run.folder("second") / "half.txt"
        if self.interrupt:
            done.write_text("half")
            raise KeyboardInterrupt
        self.found = done.exists()

    def third(self, run):
        self.ran.append("third")


@pytest.fixture
def work():
    return Work()


def go(path, work, settings=None, *, update=False):
    work.ran = []
    run = open_run(path, settings or Settings(), jobs=1, progress=Silent(), update=update)
    execute(run, work.stages)
    return work.ran


def test_a_second_call_does_nothing(tmp_path, work):
    assert go(tmp_path / "run", work) == ["first", "second", "third"]
    assert go(tmp_path / "run", work) == []


def test_a_second_call_writes_nothing(tmp_path, work, monkeypatch):
    go(tmp_path / "run", work)
    for name in ("write_text", "write_json"):
        monkeypatch.setattr(f"tinysegrank.experiment.runner.{name}", None)  # as on a disk that cannot be written to
    assert go(tmp_path / "run", work) == []


def test_a_changed_setting_redoes_what_depends_on_it(tmp_path, work):
    go(tmp_path / "run", work)
    changed = replace(Settings(), seed=1)
    with pytest.raises(ConfigError, match="made with another configuration: seed was 0, is now 1"):
        go(tmp_path / "run", work, changed)
    assert go(tmp_path / "run", work, changed, update=True) == ["second", "third"]
    assert go(tmp_path / "run", work, changed) == []


def test_a_changed_input_redoes_what_depends_on_it(tmp_path, work):
    go(tmp_path / "run", work)
    work.outside = "another file"
    assert go(tmp_path / "run", work) == ["first", "second", "third"]


def test_a_stage_that_comes_out_the_same_keeps_later_ones(tmp_path, work):
    work.first_result = "fingerprint"
    go(tmp_path / "run", work)
    work.outside = "the same content with another date"
    assert go(tmp_path / "run", work) == ["first"]


def test_an_interrupted_stage_finds_its_files(tmp_path, work):
    work.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "run", work)
    work.interrupt = False
    assert go(tmp_path / "run", work) == ["second", "third"]
    assert work.found


def test_a_stage_made_from_something_else_starts_empty(tmp_path, work):
    work.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "run", work)
    work.interrupt = False
    assert go(tmp_path / "run", work, replace(Settings(), seed=1), update=True) == ["second", "third"]
    assert not work.found


def test_a_damaged_stamp_is_no_stamp(tmp_path, work):
    go(tmp_path / "run", work)
    (tmp_path / "run" / "third" / "stamp.json").write_text("{")
    assert go(tmp_path / "run", work) == ["third"]


def test_a_folder_of_something_else_is_left_alone(tmp_path, work):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match=r"is not empty and holds no run\.toml"):
        go(tmp_path, work)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_folder_with_unknown_settings_is_named(tmp_path, work):
    (tmp_path / "run.toml").write_text("sead = 3\n")
    with pytest.raises(ConfigError, match="unknown key 'sead'"):
        go(tmp_path, work)
