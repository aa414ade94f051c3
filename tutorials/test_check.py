"""The checks of the exercises: each takes a right answer and refuses three wrong ones."""

from __future__ import annotations

import importlib
from typing import Any

import check
import numpy as np
import pytest
from notebooks import HERE, number_of, pages

ANSWERS = {
    name: answers
    for path in sorted(HERE.glob("answers_*.py"))
    for name, answers in importlib.import_module(path.stem).ANSWERS.items()
}


def test_every_exercise_has_a_check_and_answers() -> None:
    numbered = [name for name in check.__all__ if name.startswith("exercise_")]
    assert sorted(numbered) == sorted(ANSWERS)
    for path in pages():
        text = path.read_text(encoding="utf-8").split("\n## Exercises\n")[1]
        page = int(number_of(path))
        questions = [name for name in numbered if name.startswith(f"exercise_{page}_")]
        for name in questions:
            assert text.count(f"check.{name}(") == 2, (
                f"{path.name}: name {name} in the question, and call it in the answer"
            )


@pytest.mark.parametrize("name", ANSWERS)
def test_a_right_answer_is_taken(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    right, _ = ANSWERS[name]
    getattr(check, name)(*right)
    assert capsys.readouterr().out == "Right.\n"


CASES = [
    pytest.param(name, wrong, id=f"{name}-{n}") for name, (_, all_) in ANSWERS.items() for n, wrong in enumerate(all_)
]


@pytest.mark.parametrize(("name", "wrong"), CASES)
def test_a_wrong_answer_is_refused(name: str, wrong: tuple[Any, ...]) -> None:
    assert len(ANSWERS[name][1]) >= 3
    with np.errstate(all="ignore"), pytest.raises((check.AnswerError, FloatingPointError)) as caught:
        getattr(check, name)(*wrong)
    assert "\n" not in str(caught.value)
