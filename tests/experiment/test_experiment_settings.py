"""Every setting has its range, what is accepted survives its file, and what is refused leaves a run as it was."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinysegrank.config import from_dict, merge, parse_assignments, read_toml, to_toml
from tinysegrank.errors import ConfigError
from tinysegrank.experiment import Settings, Silent, run_experiment
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.run_folder import open_run, read_run

OF_EITHER_SIGN = {"proposals.paste.thresholds"}  # a score counts from the mean
WITHOUT_CHOICES = {
    "backend",
    "data.classes",
    "data.voc",
    "data.train",
    "data.val",
    "trunk.weights",
    "proposals.folder",
}  # files and folders


class Leaf(NamedTuple):
    """A setting that is no section."""

    name: str
    kind: type
    is_list: bool
    limits: Mapping[str, Any]

    def of(self, *values: object) -> dict[str, Any]:
        """The setting alone, as a settings file holds it: a list of the values, or the only one."""
        nested: Any = list(values) if self.is_list else values[0]
        for key in reversed(self.name.split(".")):
            nested = {key: nested}
        return nested


def leaves(kind: type, place: str = "") -> Iterator[Leaf]:
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint, name = hints[field.name], f"{place}{field.name}"
        if dataclasses.is_dataclass(hint):
            yield from leaves(hint, f"{name}.")
        elif get_origin(hint) is tuple:
            yield Leaf(name, get_args(hint)[0], True, field.metadata)
        else:
            yield Leaf(name, hint, False, field.metadata)


LEAVES = list(leaves(Settings))
NUMBERS = [leaf for leaf in LEAVES if leaf.kind in (int, float)]
STRINGS = [leaf for leaf in LEAVES if leaf.kind is str]


def assert_refused(values: Mapping[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(name)}[=:]"):
        from_dict(Settings, values)


def test_the_walk_reaches_every_depth():
    assert {leaf.kind for leaf in LEAVES} == {int, float, str, bool}
    deepest = {"seed", "data.limit", "training.uoi_ce.rate", "proposals.paste.segments.pooling.sift_cells"}
    assert deepest <= {leaf.name for leaf in NUMBERS}


@pytest.mark.parametrize("leaf", NUMBERS, ids=[leaf.name for leaf in NUMBERS])
def test_every_number_has_a_range(leaf):
    if leaf.name not in OF_EITHER_SIGN:
        assert_refused(leaf.of(-1), leaf.name)
    beyond = [2**63] if leaf.kind is int else [float("nan"), float("inf"), -float("inf")]
    for value in beyond:
        assert_refused(leaf.of(value), leaf.name)
    if leaf.is_list:
        assert_refused(leaf.of(1, 1), leaf.name)


@pytest.mark.parametrize("leaf", STRINGS, ids=[leaf.name for leaf in STRINGS])
def test_every_string_has_its_choices(leaf):
    if leaf.name not in WITHOUT_CHOICES:
        assert_refused(leaf.of("magic"), leaf.name)
    for text in ("caf\udce9", "a\0b"):
        assert_refused(leaf.of(text), leaf.name)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("report.classes=[99]", "give classes of the data, 0 to 20"),
        ("report.classes=[3, 3]", "give each value once"),
        ("ranking.splits=1", "give at least 2"),
        ("ranking.eps=0", "give more than 0 and less than 1"),
        ("ranking.eps=1", "give more than 0 and less than 1"),
        ("ranking.C=[0]", "give more than 0"),
        ("ranking.blocks=[]", "give at least one"),
        ("ranking.blocks=[colour]", "is not a list"),
        ('ranking.blocks=["colour"]', "choose one of segnet, classification, rerank"),
        ("seed=-1", "give at least 0"),
        ("folds=1", "give at least 2; the ranker learns from out-of-fold outputs"),
        ("trunk.chunk=0", "give at least 1"),
        ("trunk.preset=resnet", "choose one of alexnet, caffenet, torchvision, tiny"),
        ("trunk.pretrain_steps=3", "give at least 1 for 3 steps"),
        ("training.iou.momentum=1", "give at least 0 and less than 1"),
        ("training.start.loss=mse", "choose one of ce, uoi, iou"),
        ("report.panels=-1", "give at least 0"),
        ("superpixels.segments=0", "give at least 1"),
        ("superpixels.compactness=0", "give more than 0"),
        ("superpixels.compactness=501", 'give at most 500 with the method "integer"'),
        ("proposals.engine=o2p", "choose one of crf, paste, both, folder"),
        ("proposals.crf.strengths=[]", "give at least one"),
        ("proposals.paste.segments.sift=129", "give at least 1 and at most 128"),
        ("classifier.C=0", "give more than 0"),
    ],
)
def test_a_refusal_says_what_to_give(assignment, message):
    name = assignment.partition("=")[0]
    section = name if assignment != "trunk.pretrain_steps=3" else "trunk.pretrain_images"
    with pytest.raises(ConfigError, match=f"^{re.escape(section)}[=:].*{re.escape(message)}"):
        from_dict(Settings, parse_assignments([assignment]))


def any_value(leaf: Leaf) -> st.SearchStrategy[Any]:
    """Values of a setting's type, in its range and out of it."""
    bounds = leaf.limits.get("bounds", {})
    low, high = (next((bounds[key] for key in keys if key in bounds), None) for keys in (_LOW, _HIGH))
    if leaf.kind is bool:
        one: st.SearchStrategy[Any] = st.booleans()
    elif leaf.kind is int:
        one = st.integers(low, high) | st.integers()
    elif leaf.kind is float:
        one = st.floats(low, high) | st.floats()
    elif leaf.limits.get("choices"):
        one = st.sampled_from(list(leaf.limits["choices"]))
    else:
        one = st.text(st.characters(exclude_categories=()))  # surrogates too
    return (st.lists(one, max_size=4).map(lambda values: leaf.of(*values))) if leaf.is_list else one.map(leaf.of)


_LOW, _HIGH = ("at_least", "more_than"), ("at_most", "less_than")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("settings") / "run.toml"


@given(values=st.lists(st.sampled_from(LEAVES).flatmap(any_value), max_size=4))
@example([{"data": {"voc": "/data/\U0001f600/caf\u00e9"}}])
@example([{"data": {"voc": '\x7f\x1f\r\n\t\\"\'\'\'""" #\u2028\ufeff\x85'}}])
@example([{"data": {"voc": "/data/caf\udce9"}}])
@example([{"ranking": {"eps": float("nan")}}])
@example([{"ranking": {"C": [5e-324, 1e300, 0.1 + 0.2]}}])
def test_what_is_accepted_is_read_back(file, values):
    together: dict[str, Any] = {}
    for one in values:
        together = merge(together, one)
    try:
        settings = from_dict(Settings, together)
    except ConfigError:
        return
    file.write_bytes(to_toml(settings).encode())
    assert from_dict(Settings, read_toml(file)) == settings


@pytest.mark.parametrize("text", ["seed = = 3", "sead = 3", "seed = -3"], ids=["toml", "key", "range"])
def test_a_damaged_settings_file_is_written_anew_on_request(tmp_path, text):
    file, settings = tmp_path / "run.toml", replace(Settings(), seed=4)
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: is damaged or of another version .*--update"):
        read_run(tmp_path, jobs=1, progress=Silent())
    with pytest.raises(ConfigError, match="--update"):
        opened(tmp_path, settings, update=False)
    assert file.read_text() == text
    opened(tmp_path, settings, update=True)
    assert read_run(tmp_path, jobs=1, progress=Silent()).settings == settings


def opened(path, settings, *, update):
    with FolderLock(path) as lock:
        return open_run(path, settings, lock, jobs=1, progress=Silent(), update=update)


def test_a_settings_file_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    (tmp_path / "run.toml").write_text(to_toml(Settings()))

    def refuse(path):
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    for update in (False, True):
        with pytest.raises(ConfigError, match=r"run\.toml: cannot be read: Permission denied") as caught:
            opened(tmp_path, replace(Settings(), seed=1), update=update)
        assert "damaged" not in str(caught.value)


def test_a_working_folder_whose_name_is_not_utf_8(tmp_path, monkeypatch):
    """A relative path becomes one that the settings file cannot hold."""
    odd = tmp_path / "caf\udce9"
    odd.mkdir()
    monkeypatch.chdir(odd)
    settings = from_dict(Settings, {"data": {"voc": "voc"}})
    with pytest.raises(ConfigError, match=r"^data\.voc=.*caf\\udce9.*rename"):
        run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent())
    assert not (tmp_path / "run").exists()
