"""What a run says while it works: the number of each stage, and the time left, on a terminal and in a file."""

from __future__ import annotations

import io
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from rich.console import Console

from tinysegrank.experiment import STAGES, Shown, Silent, progress
from tinysegrank.experiment.progress import _DRAWINGS, _PHOTOGRAPHS, Pace, duration
from tinysegrank.experiment.stages.training import count_steps


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def shown(*, terminal=False):
    return Shown(Console(file=io.StringIO(), force_terminal=terminal, width=200))


def test_all_stages_have_a_usual_time():
    assert {stage.name for stage in STAGES} == set(_PHOTOGRAPHS) == set(_DRAWINGS)


def test_stages_are_numbered_and_the_rest_is_foretold(clock):
    """Three stages of equal usual time: after one, twice its time is left; what was kept says nothing."""
    told = shown()
    told.plan(["a", "b", "c", "d"], pretrained=True)
    told.kept("a")
    for name in ("b", "c", "d"):
        with told.stage(name):
            clock.now += 300
    assert told.console.file.getvalue().splitlines() == [
        "stage 1 of 4: a kept",
        "stage 2 of 4: b ...",
        "b done in 300 s; about 10 min left",
        "stage 3 of 4: c ...",
        "c done in 300 s; about 5 min left",
        "stage 4 of 4: d ...",
        "d done in 300 s",
    ]


def test_a_stage_without_a_plan_is_not_numbered(clock):
    told = shown()
    with told.stage("toy scenes"):
        clock.now += 2
    assert told.console.file.getvalue() == "toy scenes ...\ntoy scenes done in 2 s\n"


def test_in_a_file_there_is_a_line_a_minute(clock):
    told = shown()
    told.plan(["a", "b"], pretrained=True)
    with told.stage("a"), told.count("images", 110) as advance:
        advance(10)  # before
        for _ in range(100):
            clock.now += 6
            advance(1)
    lines = [line.strip() for line in told.console.file.getvalue().splitlines()]
    assert lines[1] == "images: 20 of 110, about 9 min left, about 19 min in all" and len(lines) == 12
    assert lines[9].startswith("images: 100 of 110, about 60 s left")


def test_a_stage_that_counts_twice_is_not_done_after_the_first_count(clock):
    """Ten images to fit on take a minute, then 100 images ten: of these the time of all must not be less."""
    told = shown()
    told.plan(["a", "b"], pretrained=True)
    with told.stage("a"):
        for what, total in (("to fit on", 10), ("images", 100)):
            with told.count(what, total) as advance:
                for _ in range(total):
                    clock.now += 6
                    advance(1)
    lines = [line.strip() for line in told.console.file.getvalue().splitlines()]
    assert lines[2:4] == [
        "images: 10 of 100, about 9 min left, about 20 min in all",
        "images: 20 of 100, about 8 min left, about 19 min in all",
    ]


def test_on_a_terminal_there_is_a_bar_instead(clock):
    told = shown(terminal=True)
    with told.stage("a"), told.count("images", 2) as advance:
        clock.now += 100
        advance(2)
        time.sleep(0.2)  # a bar is drawn ten times a second
    assert "2/2" in told.console.file.getvalue() and "2 of 2" not in told.console.file.getvalue()


def test_a_stage_shows_its_time_while_nothing_is_counted():
    told = shown(terminal=True)

    def frames(seconds=0.35):  # ten are drawn in a second
        start = len(told.console.file.getvalue())
        time.sleep(seconds)
        return told.console.file.getvalue()[start:]

    with told.stage("fit"):
        assert frames().count("fit") >= 2
        with pytest.raises(ValueError, match="in between"), told.count("images", 5):
            assert "0/5" in frames() and "fit" not in frames()
            with told.count("folds", 3) as advance:
                advance(1)
                assert "1/3" in frames() and "images" not in frames()
            assert "images" in frames()
            raise ValueError("in between")
        assert "fit" in frames() and "images" not in frames()
    assert not frames()


def test_nothing_is_foretold_too_early():
    pace = Pace(["data", "training"], pretrained=True)
    pace.end("data", 5.0)
    assert pace.left() is None
    assert pace.left("training", 100.0, 0.5) == pytest.approx(105 / (353 / 703) - 105)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (7500, "2 h 5 min")]
)
def test_durations_are_read_easily(seconds, text):
    assert duration(seconds) == text


def test_steps_of_an_earlier_command_are_reported_at_once(tmp_path):
    """Counted a second later, they would be taken for steps of this command, and the time left for a moment's."""
    (tmp_path / "step.txt").write_text("5000")
    told = []

    class Told(Silent):
        @contextmanager
        def count(self, what, total):
            yield told.append

    with count_steps(SimpleNamespace(progress=Told()), {tmp_path: 6000, tmp_path / "other": 100}):
        pass
    assert told == [5000]
