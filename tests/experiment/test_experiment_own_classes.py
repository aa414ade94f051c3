"""Crops and weeds from drawn photographs to every output: no trace of VOC's classes in it."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

from tests.conftest import tiny_settings
from tinysegrank.cli import app
from tinysegrank.config import to_toml
from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.experiment import Run, Silent, run_experiment
from tinysegrank.experiment.proposal_settings import PasteSettings
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.settings import with_classes
from tinysegrank.experiment.stages.described import load_described, read_columns
from tinysegrank.experiment.stages.evaluation import read_counts
from tinysegrank.experiment.stages.training import Training, network_path
from tinysegrank.proposals import CpmcOptions, SecondOrderOptions, SegmentOptions
from tinysegrank.segnet import load_segnet
from tinysegrank.voc import CLASS_NAMES, VOC, VOCSegmentation, classes_of, read_classes, read_labels

pytestmark = pytest.mark.slow

NAMES = ("background", "sugar_beet", "wild oat")
COLOURS = ((0, 0, 0), (0, 160, 60), (180, 60, 220))
LINES = "sugar_beet 0 160 60\nwild oat #b43cdc\n"
TEXT_FILES = {".md", ".csv", ".json", ".toml", ".txt", ".html"}
# words of other meanings: a split is called "train", and a claim quotes the paper on "the small bird"
FOREIGN = re.compile(rf"\b({'|'.join(set(CLASS_NAMES) - {'background', 'train', 'bird'})})\b", re.IGNORECASE)


def draw(root: Path, count: int) -> None:
    """Rows of round and of thin plants on soil."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    rng, names = np.random.default_rng(0), [f"plot {i:02}".replace(" ", "_") for i in range(count)]
    y, x = np.mgrid[:48, :64]
    for i, name in enumerate(names):
        pixels, labels = np.full((48, 64, 3), (120, 85, 60)), np.zeros((48, 64), np.uint8)
        for k in (1, 2, 1 + i % 2):
            row, column, size = rng.integers(10, 38), rng.integers(10, 54), rng.integers(7, 11)
            round_one, thin = (
                (y - row) ** 2 + (x - column) ** 2 < size**2,
                (abs(y - row) < size) & (abs(x - column) < 4),
            )
            plant = round_one if k == 1 else thin
            pixels[plant], labels[plant] = ((60, 170, 50), (200, 190, 60))[k - 1], k
        noisy = (pixels + rng.integers(-15, 16, pixels.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
        Image.fromarray(labels).save(root / "SegmentationClass" / f"{name}.png")
    for split, some in (("train", names[: 3 * count // 5]), ("val", names[3 * count // 5 :])):
        (root / "ImageSets/Segmentation" / f"{split}.txt").write_text("\n".join(some))


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the data, `run` of it, and what the commands made of the run."""
    folder = tmp_path_factory.mktemp("own")
    draw(folder / "field", 20)
    (folder / "field/classes.txt").write_text(LINES)
    tiny = tiny_settings(folder / "field")
    cpmc, pooling = CpmcOptions(superpixels=60, grid=2, steps=4, count=10), SecondOrderOptions((4,), (4,), step=8)
    segments = SegmentOptions(cpmc, pooling, sift=8, lbp=6, length=8)
    paste = PasteSettings(segments, fit_images=4, choice_images=2, lambdas=(0.1,), thresholds=(0.2,), features="trunk")
    both = replace(tiny, proposals=replace(tiny.proposals, engine="both", paste=paste))
    text = to_toml(replace(both, data=replace(both.data, voc="")))
    (folder / "tiny.toml").write_text(text.replace('voc = ""\n', "").replace("classes = []\n", ""))
    options = ("--voc", folder / "field", "--out", folder / "run", "--config", folder / "tiny.toml", "--jobs", 1)
    (folder / "said.txt").write_text(call("run", *options, "--classes", "wild oat,1"))
    (folder / "field").rename(folder / "gone")
    photograph = next((folder / "gone/JPEGImages").iterdir())
    said = call("predict", photograph, "--run", folder / "run", "--out", folder / "predicted")
    (folder / "predicted.txt").write_text(said)
    call("export", "safetensors", folder / "run", "--out", folder / "network.safetensors")
    (folder / "gone").rename(folder / "field")
    call("export", "proposals", folder / "run", "--out", folder / "exported")
    (folder / "claims.txt").write_text(call("evidence", folder / "run", "table-1", "figure-2", "figure-4", "table-2"))
    call("report", folder / "run", "--out", folder / "report.html")
    return folder


@pytest.fixture(scope="module")
def run(folder) -> Run:
    return read_run(folder / "run", jobs=1, progress=Silent())


def test_no_class_of_voc_is_named(folder):
    found = {path: path.read_text() for path in folder.rglob("*") if path.suffix in TEXT_FILES}
    texts = {
        path: re.sub(r"base64,[\w+/=]*", "", text) for path, text in found.items()
    }  # pictures, which may say "/cat+"
    assert len(texts) > 30
    for path, text in texts.items():
        assert not (word := FOREIGN.search(text)), f"{path}: {word}"
    named = [path.name for path, text in texts.items() if "wild oat" in text]
    assert {"run.toml", "per_class.md", "per_class.csv", "columns.json", "report.html", "table.md"} <= set(named)


def test_every_part_has_the_number_of_classes(run):
    assert run.settings.classes.names == NAMES and run.settings.report.classes == (2, 1)
    model = load_segnet(network_path(run, Training(-1, "uoi+ce")))
    assert model.num_classes == 3 and model.parameters["conv8.weight"].shape[0] == 3
    assert {confusion.num_classes for confusion in read_counts(run).values()} == {3}
    columns = read_columns(run)
    assert "centroid_x_sugar_beet|wild oat" in columns["rerank"]
    assert len(columns["segnet"]) == 2 + 4 * 3 and len(columns["classification"]) == 5 * 2
    assert load_described(run, "val").confusions.shape[1:] == (3, 3)


def test_labels_are_shown_in_the_classes_own_colours(folder, run):
    (path,) = (folder / "predicted").glob("*.labels.png")
    with Image.open(path) as image:
        assert np.reshape(image.getpalette(), (-1, 3))[:3].tolist() == [list(colour) for colour in COLOURS]
    assert read_labels(path, run.settings.classes).max() <= 2
    for made in (run.path / "picked/svm", run.path / "upsampled/naive-ce", next((folder / "exported").glob("plot*"))):
        with Image.open(next(made.glob("*.png"))) as image:
            assert tuple(image.getpalette()[3:9]) == COLOURS[1] + COLOURS[2]


def test_the_exported_network_has_the_names(folder):
    with safe_open(folder / "network.safetensors", "np") as file:
        assert json.loads(file.metadata()["about"])["classes"] == list(NAMES)


def test_label_maps_are_exported_in_the_classes_colours(folder, run, tmp_path):
    result = CliRunner().invoke(app, ["export", "labels", str(run.path), "--out", str(tmp_path / "labels")])
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/labels\n")
    for path in (run.path / "picked/svm").glob("*.png"):
        assert (tmp_path / "labels" / path.name).read_bytes() == path.read_bytes()
    assert read_classes(tmp_path / "labels/classes.txt") == run.settings.classes
    command = result.stderr.removeprefix("next: tinysegrank ")
    listed = (folder / "field/classes.txt").rename(folder / "away.txt")  # as it is after `run --classes-file`
    said = json.loads(call(*shlex.split(command), "--json"))
    listed.rename(folder / "field/classes.txt")
    assert said["mean_iou"] == pytest.approx(read_counts(run)["picked/svm"].mean_iou().value)


def test_vocs_server_is_refused_with_advice(folder, tmp_path):
    result = CliRunner().invoke(app, ["export", "voc", str(folder / "run"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "its classes (sugar_beet, wild oat) are not VOC's" in " ".join(result.stderr.split())
    assert f"tinysegrank export labels {folder}/run" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_other_classes_are_another_configuration(folder, run):
    file = folder / "field/classes.txt"
    file.write_text(LINES.replace("oat", "rye"))
    with pytest.raises(ConfigError, match=r"data\.classes was .*wild oat.*, is now .*wild rye"):
        run_experiment(run.path, replace(run.settings, data=replace(run.settings.data, classes=())), jobs=1,
                       progress=Silent())  # fmt: skip
    file.write_text(LINES)


def test_evaluation_reads_the_classes_of_the_data(folder, run):
    said = json.loads(call("evaluate", run.path / "picked/svm", "--voc", folder / "field", "--json"))
    assert list(said["iou"]) == list(NAMES)
    assert said["mean_iou"] == pytest.approx(read_counts(run)["picked/svm"].mean_iou().value)


def test_classes_are_settings_like_any_other(tmp_path):
    (tmp_path / "classes.txt").write_text("\n".join(CLASS_NAMES))
    tiny = tiny_settings(tmp_path)
    assert with_classes(tiny).data.classes == ()  # VOC's, so the run is one on VOC
    named = with_classes(replace(tiny, data=replace(tiny.data, classes=CLASS_NAMES)))
    assert with_classes(named) == named and named.classes == VOC and named.data.classes  # kept, as grey masks need it
    own = with_classes(replace(tiny, data=replace(tiny.data, classes=("weed 1 2 3",))))
    assert own.data.classes == ("background #000000", "weed #010203")
    with pytest.raises(ConfigError, match=r"report\.classes=\[2\]: give classes of the data, 0 to 1"):
        replace(own, report=replace(own.report, classes=(2,)))
    with pytest.raises(ConfigError, match="classes: line 2: weed is listed twice"):
        replace(own.data, classes=("weed", "weed 1 2 3"))


def test_masks_with_other_classes_are_refused(tmp_path):
    draw(tmp_path / "field", 5)
    (tmp_path / "field/classes.txt").write_text("sugar beet\n")
    assert len(classes_of(tmp_path / "field")) == 2
    with pytest.raises(DatasetError, match=r"labels 2 are neither a class \(0\.\.1\) nor void"):
        VOCSegmentation(tmp_path / "field", "train").check()
