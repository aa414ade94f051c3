"""`tinysegrank.load`, and `predict`, which does the same for files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import tinysegrank
from tinysegrank.cli import app
from tinysegrank.config import from_dict, to_toml
from tinysegrank.errors import CheckpointError, DatasetError
from tinysegrank.experiment import Settings
from tinysegrank.experiment.stages.described import load_described
from tinysegrank.experiment.stages.ranker import load_ranker
from tinysegrank.proposals import ProposalStore
from tinysegrank.upsampling import enlarge
from tinysegrank.voc import CLASS_NAMES, VOCSegmentation, overlay, read_labels
from tinysegrank.voc.images import reduced

pytestmark = pytest.mark.slow  # the tiny run


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def segmenter(tiny_run):
    return tinysegrank.load(str(tiny_run.path))


@pytest.fixture(scope="module")
def val(tiny_run):
    return VOCSegmentation(tiny_run.settings.data.voc, "val")


def test_the_result_has_what_the_run_computed_for_val(tiny_run, segmenter, val):
    table = load_described(tiny_run, "val").table
    scores = load_ranker(tiny_run).scores(table)
    for i, name in enumerate(val.names[:2]):
        result, own = segmenter(val.image_path(i)), scores[table.groups == i]
        order = np.argsort(-own, kind="stable")
        np.testing.assert_allclose(result.scores, own[order], atol=1e-5)
        stored = ProposalStore(tiny_run.folder("proposals") / "val").read(name)[0]
        np.testing.assert_array_equal(result.proposals, stored[order])
        np.testing.assert_array_equal(result.labels, stored[order[0]])
        np.testing.assert_allclose(result.coarse.sum(axis=2), 1, atol=1e-5)


def test_names_and_shares_are_of_the_classes_seen(segmenter, val):
    result = segmenter(val.image(0))
    shares = {name: (result.labels == k).mean() for k, name in enumerate(CLASS_NAMES) if (result.labels == k).any()}
    assert result.shares == pytest.approx(shares)
    assert list(result.shares.values()) == sorted(shares.values(), reverse=True)
    assert result.names == tuple(result.shares)
    assert repr(result).startswith(f"Segmentation({result.labels.shape[1]} x {result.labels.shape[0]}: background ")


def test_the_overlay_has_a_legend_below(segmenter, val):
    result = segmenter(val.image(0))
    height = result.labels.shape[0]
    painted = overlay(val.image(0), result.labels)
    np.testing.assert_array_equal(np.asarray(result.overlay())[:height], painted)
    np.testing.assert_array_equal(np.asarray(result.overlay(legend=False)), painted)
    assert result.overlay().height > height


def test_a_large_photograph_is_labelled_small_and_painted_large(tmp_path, tiny_run, val):
    run = tmp_path / "run"
    shutil.copytree(tiny_run.path, run, ignore=shutil.ignore_patterns("evidence", "features", "manifest.json"))
    image = val.image(0)
    settings = from_dict(Settings, {"photographs": {"longest_side": max(image.shape)}}, base=tiny_run.settings)
    (run / "run.toml").write_text(to_toml(settings))
    segmenter, large = tinysegrank.load(run), image.repeat(3, axis=0).repeat(3, axis=1)
    result = segmenter(large)
    assert result.labels.shape == large.shape[:2]
    assert result.ranked.shape[1:] == image.shape[:2]
    np.testing.assert_array_equal(result.labels, enlarge(result.ranked[0], large.shape[:2]))
    np.testing.assert_array_equal(result.proposals[0], result.labels)
    small = reduced(large, longest=max(image.shape))
    np.testing.assert_array_equal(segmenter(small).labels, result.ranked[0])
    whole = tinysegrank.load(tiny_run.path)
    assert whole(image.repeat(2, axis=0)).ranked.shape[1:] == (2 * image.shape[0], image.shape[1])


def test_what_is_no_run_or_no_photograph_is_named(tmp_path, segmenter):
    with pytest.raises(CheckpointError, match="is not a run folder; make one"):
        tinysegrank.load(tmp_path)
    with pytest.raises(DatasetError, match=r"nowhere\.jpg: cannot be read"):
        segmenter("nowhere.jpg")
    with pytest.raises(DatasetError, match="12 x 40, a side is below 13 pixels"):
        segmenter(np.zeros((40, 12, 3), np.uint8))


def test_subpackages_need_no_import_of_their_own():
    script = "import tinysegrank as t; print(t.nn.ReLU.__name__, t.losses.uoi.__name__, hasattr(t, 'nothing'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "ReLU uoi False\n"


def test_predict_says_what_it_saw(tmp_path, monkeypatch, tiny_run, segmenter, val):
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(val.image_path(0), "a b.jpg")
    shares = segmenter(val.image(0)).shares
    result = call("predict", "a b.jpg", "--run", tiny_run.path, "--out", ".")
    assert result.exit_code == 0, result.output
    said, line = result.output.splitlines()
    assert "learned from toy drawings" in said
    seen = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    assert line == f"a b.jpg: {seen}; a b.labels.png a b.overlay.png"


def test_predict_prints_json_and_writes_the_proposals(tmp_path, tiny_run, segmenter, val):
    expected = segmenter(val.image(0))
    result = call("predict", val.image_path(0), "--run", tiny_run.path, "--out", tmp_path, "--json", "--proposals")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    assert found["photograph"] == str(val.image_path(0))
    assert found["shares"] == pytest.approx(expected.shares)
    np.testing.assert_array_equal(read_labels(found["labels"]), expected.labels)
    files, scores = zip(*((Path(one["file"]), one["score"]) for one in found["proposals"]), strict=True)
    np.testing.assert_allclose(scores, expected.scores)
    np.testing.assert_array_equal([read_labels(file) for file in files], expected.proposals)
    rows = (files[0].parent / "scores.csv").read_text().splitlines()
    assert rows[0] == "file,score" and [row.split(",")[0] for row in rows[1:]] == [file.name for file in files]
    again = call("predict", val.image_path(0), "--run", tiny_run.path, "--out", tmp_path, "--proposals")
    assert again.exit_code == 1 and "already exists; pass --force" in again.stderr


def test_what_exists_is_skipped(tmp_path, tiny_run, val):
    """As after an interruption: one photograph is done, of the next one file is there, of the last none."""
    photographs, out = tmp_path / "photos", tmp_path / "out"
    photographs.mkdir()
    for i, name in enumerate("abc"):
        shutil.copyfile(val.image_path(i), photographs / f"{name}.jpg")
    predict = ("predict", photographs, "--run", tiny_run.path, "--out", out, "--json")
    assert call(*predict, "--proposals").exit_code == 0
    whole = {file: file.read_bytes() for file in out.rglob("*.*") if file.is_file()}
    assert len(whole) == 3 * (3 + 4)
    lost = [file for file in whole if file.name[0] == "c" or file.parent.name[0] == "c" or file.name == "b.overlay.png"]
    for file in lost:
        file.unlink()
    (out / "b.labels.png").write_bytes(b"kept")
    result = call(*predict, "--proposals", "--skip-existing")
    assert [Path(one["photograph"]).name for one in json.loads(result.stdout)] == ["b.jpg", "c.jpg"]
    assert "1 of 3 photographs have all their files and are skipped" in result.stderr
    whole[out / "b.labels.png"] = b"kept"
    assert {file: file.read_bytes() for file in out.rglob("*.*") if file.is_file()} == whole
    assert json.loads(call(*predict, "--skip-existing").stdout) == []
    both = call(*predict, "--skip-existing", "--force")
    assert both.exit_code == 1 and "pass one of them" in both.stderr
    shutil.copyfile(val.image_path(0), photographs / "a.png")  # its results would be those of a.jpg
    assert "is also the output of" in call(*predict, "--skip-existing").stderr


def test_folders_and_patterns_stand_for_their_photographs(tmp_path, tiny_run, val):
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for name in ("b.JPG", "a.jpg"):
        shutil.copyfile(val.image_path(0), folder / name)
    (folder / "notes.txt").write_text("no photograph")
    for given in ([folder], [folder / "*.[jJ]*"], [folder, folder / "a.jpg"]):
        result = call("predict", *given, "--run", tiny_run.path, "--out", folder, "--json", "--force")
        assert result.exit_code == 0, result.output
        assert [one["photograph"] for one in json.loads(result.stdout)] == [
            str(folder / name) for name in ("a.jpg", "b.JPG")
        ]


@pytest.mark.parametrize(
    ("given", "message"), [("empty", "this folder holds no photographs"), ("*.heic", "matches no")]
)
def test_a_folder_or_pattern_without_photographs_is_named(tmp_path, tiny_run, given, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.labels.png").touch()
    result = call("predict", tmp_path / given, "--run", tiny_run.path)
    assert result.exit_code == 1 and f"{tmp_path / given}: {message}" in result.stderr


def test_a_photograph_among_results_is_still_taken_by_name(tmp_path, val, tiny_run):
    Image.fromarray(val.image(0)).save(tmp_path / "x.labels.png")
    result = call("predict", tmp_path / "x.labels.png", "--run", tiny_run.path, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x.labels.labels.png").is_file()
