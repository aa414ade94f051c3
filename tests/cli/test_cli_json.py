"""Output for programs: JSON alone on standard output, with the numbers that the tables round."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from sklearn.metrics import jaccard_score
from typer.testing import CliRunner

from tinysegrank import __version__
from tinysegrank.cli import app
from tinysegrank.cli.show import print_json
from tinysegrank.evidence.collect import PIECES
from tinysegrank.voc import CLASS_NAMES, VOCSegmentation, make_toy_voc, write_labels


def strict(text: str) -> object:
    """Parse JSON, without the names that only Python accepts."""

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return strict(result.stdout)


def test_evaluate_equals_scikit_learn(tmp_path, rng):
    make_toy_voc(tmp_path / "voc", train=2, val=3, seed=0)
    split, truths, guesses = VOCSegmentation(tmp_path / "voc", "val"), [], []
    for i, name in enumerate(split.names):
        truth = split.labels(i)
        labels = np.where((truth == 255) | (rng.random(truth.shape) < 0.3), 0, truth).astype(np.uint8)
        write_labels(tmp_path / "labels" / f"{name}.png", labels)
        truths.append(truth[truth != 255])
        guesses.append(labels[truth != 255])
    truth, guess = np.concatenate(truths), np.concatenate(guesses)
    found = call("evaluate", tmp_path / "labels", "--voc", tmp_path / "voc", "--json", "--classes", "background,7")
    there = np.union1d(truth, guess)
    expected = dict(zip(there.tolist(), jaccard_score(truth, guess, labels=there, average=None), strict=True))
    assert list(found["iou"]) == list(CLASS_NAMES)
    for k, name in enumerate(CLASS_NAMES):
        assert found["iou"][name] == (pytest.approx(expected[k]) if k in expected else None)
    in_truth = [expected[k] for k in np.unique(truth).tolist()]
    assert (found["mean_iou"], found["classes_in_mean"]) == (pytest.approx(np.mean(in_truth)), len(in_truth))
    assert found["devkit_mean_iou"] is None  # a class is nowhere
    assert found["common_classes"] == ["background", "car"]
    assert found["common_mean_iou"] == pytest.approx(np.mean([expected[k] for k in (0, 7) if k in truth]))
    plain = call("evaluate", tmp_path / "labels", "--voc", tmp_path / "voc", "--json", "--csv", tmp_path / "t.csv")
    assert (plain["common_classes"], plain["common_mean_iou"]) == ([], None)
    assert (tmp_path / "t.csv").read_text().startswith("class,labels\n")


def test_doctor():
    found = call("doctor", "--json")
    assert found["tinysegrank"] == __version__
    assert found["numpy"].startswith("usable") and "BLAS" in found
    assert all(isinstance(value, str) and name == name.strip() for name, value in found.items())


def test_evidence(tmp_path, tiny_run):
    shutil.copytree(tiny_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("evidence"))
    states = call("evidence", tmp_path / "run", "--json")
    assert [state["name"] for state in states] == [piece.name for piece in PIECES]
    assert {state["state"] for state in states if state["name"] == "figure-2"} == {"can be made"}
    (made,) = call("evidence", tmp_path / "run", "figure-2", "--json", "--jobs", 1)
    assert made["name"] == "figure-2"
    record = strict((tmp_path / "run/evidence/figure-2/evidence.json").read_text())
    assert made["claims"] == record["claims"] and made["claims"]
    assert made["rows"] == record["table"]["rows"] and len(made["columns"]) == len(made["rows"][0])
    assert made["figure"] == str(tmp_path / "run/evidence/figure-2/figure.png")
    again = {state["name"]: state["state"] for state in call("evidence", tmp_path / "run", "--json")}
    assert again["figure-2"] == "made"


def test_numbers_that_json_lacks(capsys):
    print_json({"a": [math.nan, math.inf, (1.5, -math.inf)], "é": {"b": None}})
    assert strict(capsys.readouterr().out) == {"a": [None, None, [1.5, None]], "é": {"b": None}}
