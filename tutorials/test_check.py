"""The checks of the exercises: each takes a right answer and refuses three wrong ones."""

from __future__ import annotations

import importlib
from typing import Any

import check
import numpy as np
import pytest
from check.compare import close
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
    with np.errstate(all="ignore"), pytest.raises(check.AnswerError) as caught:
        getattr(check, name)(*wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["1_1", "1_2", "3_2", "3_4", "7_1", "7_2", "17_3"])
def test_a_forgotten_second_result_is_named(name: str) -> None:
    (function, *rest), _ = ANSWERS[f"exercise_{name}"]
    with pytest.raises(check.AnswerError, match="should return two things, "):
        getattr(check, f"exercise_{name}")(lambda *given: function(*given)[0], *rest)


def test_the_logistic_function_may_clip_its_exponent() -> None:
    check.exercise_4_1(lambda d: 1 / (1 + np.exp(-np.clip(d, -700, 700))))


@pytest.mark.parametrize(
    ("wrong", "verdict"), [(400, "400, which is too large"), (300, "300, which is too small"), (np.nan, "not a number")]
)
def test_a_wrong_number_is_called_too_large_or_too_small(wrong: float, verdict: str) -> None:
    with pytest.raises(check.AnswerError, match=verdict) as caught:
        check.exercise_3_3(wrong)
    assert "316" not in str(caught.value)  # the root of 100,000, the right answer


def test_a_wrong_entry_of_an_array_is_named_with_the_right_one() -> None:
    with pytest.raises(check.AnswerError, match=r"yours is 5 at \[1\]; it should be 2"):
        close([1, 5], [1, 2], "the entries")
