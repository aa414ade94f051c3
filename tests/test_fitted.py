"""Files of fitted models: what is read is what was saved, and every kind of fault is named with its file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tinysegrank.errors import CheckpointError, ConfigError, TrainingError
from tinysegrank.files import write_arrays
from tinysegrank.fitted import Fitted, read_checked

TAG = "tinysegrank line 1"


@dataclass(frozen=True, eq=False)
class Line(Fitted, tag=TAG, shapes={"slope": ("D", "K"), "bias": ("K",), "pair": ("D", 2)}, not_finite=("pair",)):
    slope: np.ndarray
    bias: np.ndarray
    pair: np.ndarray
    name: str

    def _state(self):
        return {"slope": self.slope, "bias": self.bias, "pair": self.pair}, {"name": self.name}

    @classmethod
    def _restore(cls, arrays, about):
        if not about["name"]:
            raise ConfigError("name: give one")
        return cls(**arrays, name=about["name"])


GOOD = {"slope": np.ones((3, 4)), "bias": np.arange(4.0), "pair": np.full((3, 2), np.inf)}
ABOUT = {"format": TAG, "name": "a line"}


def test_what_is_read_is_what_was_saved(tmp_path):
    path = tmp_path / "line.safetensors"
    Line(**GOOD, name="a line").save(path)
    read = Line.load(path)
    assert read.name == "a line"
    for name, array in GOOD.items():
        np.testing.assert_array_equal(getattr(read, name), array, strict=True)
    write_arrays(tmp_path / "other", GOOD, about=ABOUT)
    assert path.read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_fit_that_diverged_is_not_written(tmp_path, bad):
    bias = np.array([1.0, bad, 2.0, 3.0])
    with pytest.raises(TrainingError, match=r"line: is not written, as bias of the tinysegrank line 1 holds NaN"):
        Line(**{**GOOD, "bias": bias}, name="a line").save(tmp_path / "line")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arrays", "about", "reason"),
    [
        (
            {},
            {"format": "tinysegrank line 0"},
            "does not hold a tinysegrank line 1 .*line 0'",
        ),
        ({"bias": None}, {}, "is damaged \\('bias' is missing\\)"),
        ({"bias": np.ones(3)}, {}, r"array 'bias' \(3,\) does not fit the others; its shape should be \(K\)"),
        ({"bias": np.ones((4, 1))}, {}, r"array 'bias' \(4, 1\) does not fit"),
        ({"pair": np.ones((3, 3))}, {}, r"its shape should be \(D, 2\)"),
        ({"slope": np.full((3, 4), np.nan)}, {}, "array 'slope' holds NaN or infinity"),
        ({"bias": np.array([0, 1, 2, -np.inf])}, {}, "array 'bias' holds NaN or infinity"),
        ({}, {"name": None}, "is damaged \\('name' is missing\\)"),
        ({}, {"name": ""}, "is damaged \\(name: give one\\)"),
    ],
)
def test_faults_are_named_with_the_file(tmp_path, arrays, about, reason):
    path = tmp_path / "line.safetensors"
    kept = {name: value for name, value in (GOOD | arrays).items() if value is not None}
    write_arrays(path, kept, about={name: value for name, value in (ABOUT | about).items() if value is not None})
    with pytest.raises(CheckpointError, match=rf"line\.safetensors: .*{reason}"):
        Line.load(path)


def test_no_file_no_safetensors_and_no_header(tmp_path):
    with pytest.raises(CheckpointError, match="absent"):
        Line.load(tmp_path / "absent")
    (tmp_path / "text").write_text("not arrays")
    with pytest.raises(CheckpointError, match="text"):
        Line.load(tmp_path / "text")
    write_arrays(tmp_path / "bare", GOOD)
    with pytest.raises(CheckpointError, match="its format is None"):
        Line.load(tmp_path / "bare")
    assert set(read_checked(write(tmp_path), TAG)[1]) == {"free"}


def write(folder):
    write_arrays(folder / "free", {"free": np.ones(2)}, about=ABOUT)
    return folder / "free"
