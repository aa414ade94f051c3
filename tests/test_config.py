import re
import tomllib
from dataclasses import dataclass, field

import pytest

from tinysegrank.config import Options, from_dict, merge, option, parse_assignments, read_toml, to_dict, to_toml
from tinysegrank.errors import ConfigError


@dataclass(frozen=True)
class Inner(Options):
    rate: float = option(0.02, at_least=0, at_most=1)
    name: str = 'quoted "name" \\ ü'
    sizes: tuple[int, ...] = option((1, 2), may_be_empty=True)
    kinds: tuple[str, ...] = option(("a",), choices=("a", "b"))


@dataclass(frozen=True)
class Outer(Options):
    steps: int = option(3, more_than=0, note="each is a minibatch")
    mirror: bool = True
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self):
        super().__post_init__()
        if self.mirror and self.steps == 13:
            raise ConfigError("steps=13: not with mirror")


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
        ({"step": 1}, "configuration: unknown key 'step'; known are steps, mirror, inner"),
        ({"inner": {"rates": 1}}, "inner: unknown key 'rates'"),
        ({"steps": 1.5}, "steps: 1.5 is not of type int"),
        ({"steps": True}, "steps: True is not of type int"),
        ({"mirror": 1}, "mirror: 1 is not of type bool"),
        ({"inner": {"name": 2012}}, "inner.name: 2012 is not of type str; write it in quotes"),
        ({"inner": 3}, "inner: is a section"),
        ({"inner": {"sizes": 3}}, "inner.sizes: 3 is not a list"),
        ({"inner": {"sizes": [1, "a"]}}, "inner.sizes: 'a' is not of type int"),
        ({"inner": {"rate": -1}}, "inner.rate=-1.0: give at least 0 and at most 1"),
        ({"inner": {"rate": float("nan")}}, "inner.rate=NaN: give a finite number"),
        ({"inner": {"rate": 10**400}}, "inner.rate: does not fit the 64 bits"),
        ({"steps": 2**63}, "steps: does not fit the 64 bits"),
        ({"steps": 0}, "steps=0: give more than 0; each is a minibatch"),
        ({"steps": 13}, "steps=13: not with mirror"),
        ({"inner": {"sizes": [4, 4]}}, "inner.sizes=[4, 4]: give each value once"),
        ({"inner": {"kinds": []}}, "inner.kinds=[]: give at least one"),
        ({"inner": {"kinds": ["b", "c"]}}, 'inner.kinds=["b", "c"]: choose one of a, b'),
        ({"inner": {"name": "caf\udce9"}}, r'inner.name="caf\udce9": has a NUL or a byte that is not UTF-8'),
        ({"inner": {"name": "a\0b"}}, r'inner.name="a\u0000b": has a NUL or a byte that is not UTF-8'),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        from_dict(Outer, values)


def test_options_are_checked_however_they_are_made():
    for make in (lambda: Inner(rate=1.5), lambda: Inner(kinds=["c"]), lambda: Outer(steps=-5, mirror=False)):
        with pytest.raises(ConfigError):
            make()


def test_an_integer_serves_as_a_float():
    assert from_dict(Outer, {"inner": {"rate": 1}}).inner.rate == 1.0


def test_assignments_of_the_command_line():
    values = parse_assignments(["steps=12", "inner.rate=0.5", "inner.name=plain words", "inner.sizes=[3, 4]"])
    assert values == {"steps": 12, "inner": {"rate": 0.5, "name": "plain words", "sizes": [3, 4]}}


def test_an_assignment_holds_one_value():
    assert parse_assignments(["inner.name=a\nsteps=4"]) == {"inner": {"name": "a\nsteps=4"}}
    assert parse_assignments(["steps=1\nmirror=false"]) == {"steps": "1\nmirror=false"}
    digits = "9" * 5000  # more than Python converts
    assert parse_assignments([f"steps={digits}"]) == {"steps": digits}


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


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "s.toml").write_bytes("\ufeffsteps = 4".encode())
    assert read_toml(tmp_path / "s.toml") == {"steps": 4}


@pytest.mark.parametrize("text", [b"name = '\xe9'", "steps = 4".encode("utf-16")], ids=["latin-1", "utf-16"])
def test_other_encodings_are_refused(tmp_path, text):
    (tmp_path / "s.toml").write_bytes(text)
    with pytest.raises(ConfigError, match=r"s\.toml: is not a TOML file \(not UTF-8 text\); .* save it as UTF-8"):
        read_toml(tmp_path / "s.toml")


def test_a_folder_is_no_settings_file(tmp_path):
    with pytest.raises(ConfigError, match=f"^{re.escape(str(tmp_path))}: cannot be read: Is a directory"):
        read_toml(tmp_path)
