"""The report of a run, and the commands that make it and the evidence, called as a user calls them."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.html_pages import check_alone, pictures
from tinysegrank.cli import app
from tinysegrank.evidence import PIECES
from tinysegrank.experiment import evaluate_folder
from tinysegrank.voc import VOCSegmentation

pytestmark = pytest.mark.slow

ORDERING = r"(\S.*) \([\d.]+\) over (\S.*) \([\d.]+\): .*"


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_report_of_a_run_with_evidence(tmp_path, tiny_run, evidence):
    result = call("report", tiny_run.path, "--out", tmp_path / "report.html")
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    parsed = check_alone(text)
    shown = pictures(parsed)
    assert len(shown) == 1 + 4 + len(PIECES)  # oracle, losses, evidence
    with Image.open(evidence / "figure-2" / "figure.png") as figure:
        assert any(np.array_equal(np.asarray(figure), picture) for picture in shown)
    split = VOCSegmentation(tiny_run.settings.data.voc, "val")
    mean = evaluate_folder(tiny_run.path / "picked" / "svm", split).mean_iou().value
    cells = [cell.strip() for cell in parsed.texts["td"]]
    row = cells.index("SegNet+SVM")
    assert cells[row + 1 : row + 3] == [f"{100 * mean:.1f}", "53.1"]
    headings = "".join(parsed.texts["h3"])
    assert all(piece.title in headings for piece in PIECES)
    listing = "".join(parsed.texts["pre"])
    assert (tiny_run.path / "run.toml").read_text() in listing
    for stage in ("training", "proposals", "evaluation"):
        assert stage in cells
    assert any(f"numpy {np.__version__}" in cell for cell in cells) and "processor" in cells


def test_the_headline_has_the_verdicts_of_the_evidence(tmp_path, tiny_run, evidence):
    assert call("report", tiny_run.path, "--out", tmp_path / "report.html").exit_code == 0
    parsed = check_alone((tmp_path / "report.html").read_text(encoding="utf-8"))
    claims = json.loads((evidence / "table-2" / "evidence.json").read_text())["claims"]
    cells = parsed.texts["td"]
    lines = [text for text in parsed.texts["li"] if re.fullmatch(ORDERING, text)]
    assert len(lines) == 7
    for line, claim in zip(lines, claims, strict=False):  # the claims have one more, of ten proposals
        better, worse = re.fullmatch(ORDERING, line).groups()
        assert claim["here"].startswith(better) and f", {worse} " in claim["here"]
        said = {cells[at + 2] for at, cell in enumerate(cells) if cell == claim["paper"]}
        assert said == {line.rsplit(": ", 1)[1]}


def test_without_evidence_nothing_is_judged_and_the_command_works(tmp_path, tiny_run, monkeypatch):
    path = tmp_path / "runs of mine" / "it's one"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence"))
    monkeypatch.chdir(path.parent)
    assert call("report", path.name).exit_code == 0
    parsed = check_alone((path / "report.html").read_text(encoding="utf-8"))
    lines = [text for text in parsed.texts["li"] if re.fullmatch(ORDERING, text)]
    assert len(lines) == 7 and all(line.endswith("here") for line in lines)
    (paragraph,) = [text for text in parsed.texts["p"] if "untested" in text]
    program, *arguments = shlex.split(paragraph.split("`")[1])
    monkeypatch.chdir(tmp_path)
    assert program == "tinysegrank" and call(*arguments).exit_code == 0
    assert (path / "evidence" / "table-2" / "claim.md").is_file()


def test_report_without_evidence_and_with_a_name_to_escape(tmp_path, tiny_run):
    path = tmp_path / "a<b>&c"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence"))
    assert call("report", path).exit_code == 0
    text = (path / "report.html").read_text(encoding="utf-8")
    parsed = check_alone(text)
    assert parsed.texts["h1"] == ["tinysegrank: a<b>&c"] and "a<b>" not in text
    assert any("None is made yet" in part for part in parsed.texts["p"])
    assert len(pictures(parsed)) == 1 + 4


def test_a_report_needs_a_finished_run(tmp_path, tiny_run):
    result = call("report", tmp_path)
    assert result.exit_code == 1 and "is not a run folder" in " ".join(result.stderr.split())
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence", "report", "evaluation"))
    result = call("report", path)
    assert result.exit_code == 1 and "needs the stages evaluation, report" in " ".join(result.stderr.split())
    assert not (path / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("report/oracle.png", "oracle.png: is missing or changed since it was written"),
        ("evidence/table-2/figure.png", "figure.png: is missing or changed since it was written"),
    ],
)
def test_a_damaged_picture_is_named(tmp_path, tiny_run, evidence, file, message):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path)
    (path / file).write_bytes(b"nothing")
    result = call("report", path)
    assert result.exit_code == 1 and message in " ".join(result.stderr.split())


def test_the_command_lists_pieces_and_shows_claims(tmp_path, tiny_run):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence"))
    listed = call("evidence", path)
    assert listed.exit_code == 0, listed.output
    assert [line.split()[0] for line in listed.output.splitlines()] == [piece.name for piece in PIECES]
    assert all(line.endswith(": can be made") for line in listed.output.splitlines())
    made = call("evidence", path, "figure-2", "--jobs", 1)
    assert made.exit_code == 0, made.output
    for words in ("the paper: ", "this run: ", "so: agrees.", "figure-2"):
        assert words in made.output
    assert (path / "evidence" / "figure-2" / "table.csv").is_file()
    assert sum(line.endswith(": made") for line in call("evidence", path).output.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table-9"], 'evidence "table-9": choose one of'),
        (["all", "--seeds", "0,one"], 'seeds="0,one": give comma-separated'),
    ],
    ids=["piece", "seeds"],
)
def test_bad_requests_are_one_line(tiny_run, arguments, message):
    result = call("evidence", tiny_run.path, *arguments)
    assert result.exit_code == 1 and message in " ".join(result.stderr.split())
