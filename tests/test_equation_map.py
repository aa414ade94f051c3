"""README's table of equations against the `# Eq.` marks in the code."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinysegrank

PACKAGE = Path(tinysegrank.__file__).parent
README = PACKAGE.parent / "README.md"
ROW = re.compile(r"^\| ([\d, ]+) \| [^|]+ \| `([\w.]+)` \|$", re.MULTILINE)
MARK = re.compile(r"#[^#\n]*\bEqs?\. (\d[\d, ]*)$", re.MULTILINE)


def listed() -> list[tuple[str, set[int]]]:
    rows = ROW.findall(README.read_text(encoding="utf-8"))
    return [(name, {int(number) for number in numbers.split(",")}) for numbers, name in rows]


def function_of(name: str) -> Callable[..., Any]:
    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(["tinysegrank", *parts[:split]]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[split:]:
            found = inspect.getattr_static(found, attribute)
        return found.fget if isinstance(found, property) else found
    raise AssertionError(f"{name} is no function of the package")


def marks(source: str) -> set[int]:
    return {int(number) for mark in MARK.findall(source) for number in mark.split(",")}


def test_each_listed_function_has_exactly_its_marks():
    table = listed()
    assert len(table) >= 15
    assert {name: marks(inspect.getsource(function_of(name))) for name, _ in table} == dict(table)


def test_each_mark_is_listed():
    given: dict[str, set[int]] = {}  # by module
    for name, numbers in listed():
        given.setdefault(function_of(name).__module__, set()).update(numbers)
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found = marks(path.read_text(encoding="utf-8"))
        assert found <= given.get(module, set()), f"{module} has marks that README does not list"
