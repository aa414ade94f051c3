import tomllib
from dataclasses import dataclass, field

import pytest

from tinysegrank.config import from_dict, merge, parse_assignments, read_toml, to_dict, to_toml
from tinysegrank.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.02
    name: str = 'quoted "name" \\ ü'
    sizes: tuple[int, ...] = (1, 2)

    def __post_init__(self):
        if self.rate < 0:
            raise ConfigError(f"rate={self.rate} must be at least 0")


@dataclass(frozen=True)
class Outer:
    steps: int = 3
    mirror: bool = True
    inner: Inner = field(default_factory=Inner)


def test_toml_round_trip_through_the_standard_library():
    settings = Outer(steps=7, inner=Inner(rate=1e-7, sizes=()))
    assert from_dict(Outer, tomllib.loads(to_toml(settings))) == settings
    assert tomllib.loads(to_toml(settings)) == to_dict(settings)


def test_what_is_left_out_comes_from_the_base():
    base = Outer(steps=9, inner=Inner(rate=0.5))
    changed = from_dict(Outer, {"inner": {"sizes": [4]}}, base=base)
    assert changed == Outer(steps=9, inner=Inner(rate=0.5, sizes=(4,)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"step": 1}, "unknown key 'step'; known are steps, mirror, inner"),
        ({"inner": {"rates": 1}}, "inner: unknown key 'rates'"),
        ({"steps": 1.5}, "steps: 1.5 is not of type int"),
        ({"steps": True}, "steps: True is not of type int"),
        ({"mirror": 1}, "mirror: 1 is not of type bool"),
        ({"inner": 3}, "inner: is a section"),
        ({"inner": {"sizes": 3}}, "inner.sizes: 3 is not a list"),
        ({"inner": {"sizes": [1, "a"]}}, "inner.sizes: 'a' is not of type int"),
        ({"inner": {"rate": -1}}, "inner: rate=-1.0 must be at least 0"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(ConfigError, match=".*".join(map(_escape, [message]))):
        from_dict(Outer, values)


def _escape(text):
    import re

    return re.escape(text)


def test_an_integer_serves_as_a_float():
    assert from_dict(Outer, {"inner": {"rate": 1}}).inner.rate == 1.0


def test_assignments_of_the_command_line():
    values = parse_assignments(["steps=12", "inner.rate=0.5", "inner.name=plain words", "inner.sizes=[3, 4]"])
    assert values == {"steps": 12, "inner": {"rate": 0.5, "name": "plain words", "sizes": [3, 4]}}


@pytest.mark.parametrize("assignment", ["steps", "=3", "inner.=3"])
def test_assignments_without_key_or_value(assignment):
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        parse_assignments([assignment])


def test_a_section_cannot_be_a_value_too():
    with pytest.raises(ConfigError, match="cannot be a section"):
        parse_assignments(["inner=3", "inner.rate=1"])


def test_merge_lays_changes_over_nested_values():
    assert merge({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}, "e": 5}) == {"a": 1, "b": {"c": 4, "d": 3}, "e": 5}


def test_files_that_are_no_toml(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read"):
        read_toml(tmp_path / "missing.toml")
    (tmp_path / "bad.toml").write_text("steps = = 3")
    with pytest.raises(ConfigError, match=r"bad\.toml: is not a TOML file"):
        read_toml(tmp_path / "bad.toml")
