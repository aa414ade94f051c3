"""What the report says of the paper's claims, and the images that it shows."""

from __future__ import annotations

import base64
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.html_pages import check_alone
from tinysegrank.cli import app
from tinysegrank.evidence import tables
from tinysegrank.evidence.collect import EARLIER, MADE
from tinysegrank.evidence.piece import Written
from tinysegrank.experiment.images import images_of
from tinysegrank.experiment.stages import report
from tinysegrank.exporting import html_report, val_images
from tinysegrank.metrics import image_iou
from tinysegrank.reporting import Claim, Column, Table
from tinysegrank.upsampling import naive
from tinysegrank.voc import read_labels


def piece(tmp_path, name, verdicts):
    figure = tmp_path / "figure.png"
    Image.new("RGB", (1, 1)).save(figure)
    claims = tuple(Claim(paper, f"{name} found", verdict) for paper, verdict in verdicts.items())
    return Written(name, f"Piece {name}", claims, (), Table("t", (Column("a"),), ((1,),)), figure)


@pytest.fixture
def pieces(tmp_path):
    """One claim on which two pieces agree, one on which they differ, and some of other pieces."""
    return [
        (piece(tmp_path, "one", {"same": "agrees", "apart": "agrees", "alone": "differs"}), MADE),
        (piece(tmp_path, "two", {"same": "agrees", "apart": "differs"}), "made by other code"),
        (piece(tmp_path, "three", {"apart": "differs"}), MADE),
        (piece(tmp_path, "old", {"same": "differs", "gone": "agrees"}), EARLIER),
    ]


def test_a_claim_has_one_verdict(pieces):
    verdicts = html_report._verdicts(pieces)
    assert verdicts == {"same": "agrees", "apart": "too close to tell", "alone": "differs"}


def test_sections_of_evidence_show_that_verdict_and_count_each_claim_once(tmp_path, pieces, tiny_run):
    opening, one, two, three, old = html_report._evidence(tiny_run, pieces, html_report._verdicts(pieces))
    assert "3 in all: 1 agrees, 1 differs, 1 too close to tell, 0 not compared." in opening.paragraphs[0]
    assert [claim.verdict for claim in one.claims] == ["agrees", "too close to tell", "differs"]
    assert [claim.here for claim in one.claims] == [
        "one found", "one found By this piece alone: agrees.", "one found",
    ]  # fmt: skip
    assert [claim.verdict for claim in (*two.claims, *three.claims)] == ["agrees", *["too close to tell"] * 2]
    assert "Made by other code; make it again" in two.paragraphs[0] and not three.paragraphs
    assert not (old.claims or old.tables or old.pictures) and "so it is left out" in old.paragraphs[0]


def test_the_headline_has_it_too(tiny_run):
    better, worse = report.ORDERINGS[0]
    sentence = tables.ordering(better, worse).paper
    section = html_report._in_short(tiny_run, Table("t", (), ()), {sentence: "too close to tell"})
    assert section.items[0].endswith(": too close to tell") and all(item.endswith("here") for item in section.items[1:])
    assert "1 of the paper's 7 orderings are tested under Evidence: 1 too close to tell." in section.paragraphs[0]


def maps_of(record):
    with Image.open(io.BytesIO(base64.b64decode(record["labels"].split(",")[1]))) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))[..., 0]
    width, height, per_column = record["size"]
    assert len(record["maps"]) <= per_column
    return {one["title"]: pixels[m * height : (m + 1) * height, :width] for m, one in enumerate(record["maps"])}


def test_the_images_of_a_run_with_all_their_labellings(tiny_run):
    """Against the run's files, which the toy photographs' size lets the report hold pixel by pixel."""
    browser, classes = val_images.browse_val(tiny_run, 500), tiny_run.settings.classes
    loss = tiny_run.settings.ranking.loss
    folders = {"SegNet-CE": "segnet-ce", "SegNet-UOI": "segnet-uoi", "SegNet-UOI-CE": "segnet-uoi+ce"}
    folders |= {"SegNet+SVM": "svm", "1-best": "1-best", "oracle": "oracle"}
    coarse = np.load(tiny_run.path / "coarse" / f"val-{loss}.npy")
    assert [record["name"] for record in browser.images] == [image.name for image in images_of(tiny_run, "val")]
    for image, record in zip(images_of(tiny_run, "val"), browser.images, strict=True):
        name, truth, maps = image.name, image.labels(), maps_of(record)
        expected = {"truth": truth, "coarse argmax": naive(coarse[image.number], truth.shape)}
        expected["superpixels"] = read_labels(tiny_run.path / f"upsampled/superpixel-{loss}/{name}.png", classes)
        files = sorted((tiny_run.path / "proposals" / "val" / name).glob("*.png"))
        expected |= {f"proposal {m}": read_labels(file, classes) for m, file in enumerate(files, start=1)}
        assert list(maps) == list(expected)
        for title, labels in expected.items():
            np.testing.assert_array_equal(maps[title], labels, err_msg=title)
        for one in record["maps"][1:]:
            iou = image_iou(truth, expected[one["title"]], num_classes=len(classes))
            assert one["iou"] == pytest.approx(100 * iou, abs=0.006)
        for method, folder in folders.items():
            chosen = read_labels(tiny_run.path / "picked" / folder / f"{name}.png", classes)
            np.testing.assert_array_equal(maps[record["picks"][method]], chosen)
        ious = {one["title"]: one["iou"] for one in record["maps"]}
        assert record["iou"] == {method: ious[title] for method, title in record["picks"].items()}
        scores = {one["title"]: float(one["note"].split()[1].rstrip(",")) for one in record["maps"][3:]}
        assert scores[record["picks"]["SegNet+SVM"]] == max(scores.values())


@pytest.mark.slow
@pytest.mark.parametrize("most", [0, 2])
def test_how_many_images(tmp_path, tiny_run, most):
    file = tmp_path / "report.html"
    result = CliRunner().invoke(app, ["report", str(tiny_run.path), "--out", str(file), "--images", f"{most}"])
    assert result.exit_code == 0, result.output
    check_alone(text := file.read_text(encoding="utf-8"))
    names = [image.name for image in images_of(tiny_run, "val")]
    if not most:
        assert "Images of val" not in text
        return
    held = text.split('id="browser-data">')[1].split("</script>")[0]
    assert [image["name"] for image in json.loads(held)["images"]] == [names[0], names[-1]]
    assert "2 of 6 images of val" in text


@pytest.mark.slow
def test_what_the_images_lack_is_said(tmp_path, tiny_run):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence", "proposals"))
    result = CliRunner().invoke(app, ["report", str(path)])
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert "a report with images, which --images 0 leaves out, needs the stage proposals, not finished" in said
