"""Settings as frozen dataclasses, read from and written to TOML: every option has a type, a default and a range."""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import operator
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import tomlkit

from tinysegrank.errors import ConfigError, brief
from tinysegrank.files import reading

Settings = TypeVar("Settings")
Value = TypeVar("Value")
_BOUNDS = {
    "at_least": operator.ge,
    "more_than": operator.gt,
    "at_most": operator.le,
    "less_than": operator.lt,
}


def option(
    default: Value,
    *,
    at_least: float | None = None,
    more_than: float | None = None,
    at_most: float | None = None,
    less_than: float | None = None,
    choices: Collection[str] | None = None,
    may_be_empty: bool = False,
    note: str = "",
) -> Value:
    """Declare a field of `Options` with its default and range; for a list, the range applies to each item.

    Args:
        at_least, more_than, at_most, less_than: bounds of a number.
        choices: allowed values of a string.
        may_be_empty: whether a list may be empty.
        note: text to add to the error message about a number that is out of range.
    """
    bounds = {"at_least": at_least, "more_than": more_than, "at_most": at_most, "less_than": less_than}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    metadata = {"bounds": given, "choices": choices, "may_be_empty": may_be_empty, "note": f"; {note}" if note else ""}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Options:
    """Base class of dataclasses of options, which checks the values whenever an instance is made.

    Numbers must be finite and in the range declared by `option`; strings must be among the choices declared and
    representable in a TOML file; lists must have no duplicates and, unless `may_be_empty`, not be empty. A subclass
    that checks combinations of options overrides `__post_init__`, calls this one first, and begins its own messages
    with the name of an option too.

    Raises:
        ConfigError: a value is out of range.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if wrong := _refusal(value, field.metadata):
                raise ConfigError(f"{field.name}={brief(json.dumps(value, default=str), 60)}: {wrong}")


def to_dict(settings: Any) -> dict[str, Any]:
    """Convert a dataclass to nested dicts of plain values; tuples become lists."""
    return {
        field.name: to_dict(value) if dataclasses.is_dataclass(value) else list(value) if _is_list(value) else value
        for field in dataclasses.fields(settings)
        for value in (getattr(settings, field.name),)
    }


def from_dict(
    kind: type[Settings], values: Mapping[str, Any], *, base: Settings | None = None, place: str = ""
) -> Settings:
    """Build a dataclass of `kind` from nested dicts; missing values come from `base`, or else are the defaults.

    Raises:
        ConfigError: a key is unknown (the known ones are listed), or a value has the wrong type or is out of range; the
            message begins with `place`, the dotted name of the section.
    """
    hints = get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if unknown := [key for key in values if key not in known]:
        raise ConfigError(f"{place or 'configuration'}: unknown key {_show(unknown[0])}; known are {', '.join(known)}")
    changes = {}
    for key, value in values.items():
        where = f"{place}.{key}" if place else key
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: is a section; give [{where}] with keys of its own")
            inner = None if base is None else getattr(base, key)
            changes[key] = from_dict(hints[key], value, base=inner, place=where)
        else:
            changes[key] = _typed(value, hints[key], where)
    try:
        return kind(**changes) if base is None else dataclasses.replace(base, **changes)  # type: ignore[type-var]
    except ConfigError as error:
        raise ConfigError(f"{place}.{error}" if place else str(error)) from error


def to_toml(settings: Any) -> str:
    """Convert a dataclass to a TOML document, with one table per nested dataclass."""
    return tomlkit.dumps(to_dict(settings))


def read_toml(path: Path | str) -> dict[str, Any]:
    """Read a TOML file as nested dicts; a byte order mark is ignored.

    Raises:
        ConfigError: the file cannot be read (then `__cause__` is an OSError) or is not TOML.
    """
    with reading(path, ConfigError, fault="is not a TOML file", remedy="mend it, and save it as UTF-8"):
        return tomllib.loads(Path(path).read_bytes().decode("utf-8-sig"))


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse "section.key=value" settings, as given on a command line, into nested dicts.

    Values are parsed as TOML (1200, 0.02, true, [0, 8]); anything that isn't valid TOML is taken as a string.
    Of two values of one key, the last counts.

    Raises:
        ConfigError: a setting has no "=" or no key, or an earlier one gave its section a value ("a=1" before "a.b=2").
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        path = name.strip().split(".")
        if not equals or not all(path):
            raise ConfigError(f"{_show(assignment)}: write a setting as section.key=value")
        try:
            (value,) = tomllib.loads(f"value = {text}").values()
        except (ValueError, RecursionError):
            value = text.strip()
        section = values
        for key in path[:-1]:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise ConfigError(
                    f"{_show(assignment)}: {brief(key, 40)} already has a value, so it cannot be a section; drop one"
                )
        section[path[-1]] = value
    return values


def merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the nested dicts `values`, with each innermost value of `changes` added or replaced."""
    merged = dict(values)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def look_up(table: Mapping[str, Value], name: str, option: str) -> Value:
    """Return the entry `name` of a table.

    Raises:
        ConfigError: there is no such entry; the message names `option` and the entry, and lists the table's names.
    """
    if name not in table:
        raise ConfigError(f'{option}="{name}": choose one of {", ".join(table)}')
    return table[name]


def _typed(value: Any, hint: Any, where: str) -> Any:
    """Return `value` as the type `hint`, which is bool, int, float, str, or a tuple of one of these.

    Raises:
        ConfigError: it has another type, or an integer needs more than 64 bits.
    """
    if get_origin(hint) is tuple:
        if not _is_list(value):
            raise ConfigError(f"{where}: {_show(value)} is not a list; write [...]")
        return tuple(_typed(item, get_args(hint)[0], where) for item in value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ConfigError(f"{where}: does not fit the 64 bits of a TOML integer; give a smaller number")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        remedy = "; write it in quotes" if hint is str else ""
        raise ConfigError(f"{where}: {_show(value)} is not of type {hint.__name__}{remedy}")
    return value


def _refusal(value: Any, limits: Mapping[str, Any]) -> str:
    """Return the reason why a value is refused by `limits`, the metadata of its `option`, or "" if it is allowed."""
    if _is_list(value):
        if not value and not limits.get("may_be_empty"):
            return "give at least one"
        if len(set(value)) < len(value):
            return "give each value once"
        return next((wrong for item in value if (wrong := _refusal(item, limits))), "")
    if isinstance(value, str):
        if (choices := limits.get("choices")) is not None and value not in choices:
            return f"choose one of {', '.join(choices)}"
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
            return "has a NUL or a byte that is not UTF-8, which a settings file cannot hold; rename the file or folder"
    elif isinstance(value, numbers.Real):
        if not math.isfinite(value):
            return "give a finite number"
        bounds = limits.get("bounds", {})
        if not all(_BOUNDS[name](value, bound) for name, bound in bounds.items()):
            wanted = " and ".join(f"{name.replace('_', ' ')} {bound:g}" for name, bound in bounds.items())
            return f"give {wanted}{limits['note']}"
    return ""


def _show(value: object) -> str:
    return brief(repr(value), 60)


def _is_list(value: Any) -> bool:
    return isinstance(value, tuple | list)
