"""Frozen dataclasses to TOML and back: every option has a type and a default, and an unknown key is an error."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from tinysegrank.errors import ConfigError

Settings = TypeVar("Settings")


def to_dict(settings: Any) -> dict[str, Any]:
    """A dataclass as nested dicts of plain values; tuples become lists."""
    return {
        field.name: to_dict(value) if dataclasses.is_dataclass(value) else list(value) if _is_list(value) else value
        for field in dataclasses.fields(settings)
        for value in (getattr(settings, field.name),)
    }


def from_dict(
    kind: type[Settings], values: Mapping[str, Any], *, base: Settings | None = None, place: str = ""
) -> Settings:
    """Build a dataclass of `kind` from nested dicts; what they leave out comes from `base`, or else the defaults.

    Raises:
        ConfigError: an unknown key (the known ones are listed), or a value of the wrong type or out of range.
    """
    hints = get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if unknown := [key for key in values if key not in known]:
        raise ConfigError(f"{place or 'configuration'}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
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
        raise ConfigError(f"{place}: {error}" if place else str(error)) from error


def to_toml(settings: Any) -> str:
    """A dataclass as a TOML document: plain values first, then one table for each nested dataclass."""
    return "\n".join(_toml_lines(to_dict(settings), "")).strip() + "\n"


def read_toml(path: Path | str) -> dict[str, Any]:
    """Read a TOML file as nested dicts.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not a TOML file ({error})") from error


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Read "section.key=value" settings, as given on a command line, into nested dicts.

    A value is read as TOML (1200, 0.02, true, [0, 8]); what is no TOML value is taken as a string.

    Raises:
        ConfigError: one has no "=" or no key, or contradicts another.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        path = name.strip().split(".")
        if not equals or not all(path):
            raise ConfigError(f"{assignment!r}: write a setting as section.key=value")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        section = values
        for key in path[:-1]:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{assignment!r}: {key} was given a value before; it cannot be a section too")
        section[path[-1]] = value
    return values


def merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts with those of `changes` laid over them."""
    merged = dict(values)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _typed(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type `hint`: bool, int, float, str, or a tuple of one of these."""
    if get_origin(hint) is tuple:
        if not _is_list(value):
            raise ConfigError(f"{where}: {value!r} is not a list; write [...]")
        return tuple(_typed(item, get_args(hint)[0], where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{where}: {value!r} is not of type {hint.__name__}")
    return value


def _toml_lines(values: Mapping[str, Any], place: str) -> list[str]:
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for key, value in values.items():
        if isinstance(value, dict):
            name = f"{place}.{key}" if place else key
            lines += ["", f"[{name}]", *_toml_lines(value, name)]
    return lines


def _is_list(value: Any) -> bool:
    return isinstance(value, tuple | list)
