"""All that a user does, command by command: data from archives, a run, predictions, exports, scores.

Each output is compared with the others of the same image, and the score with its definition.
"""

from __future__ import annotations

import csv
import json
import shlex
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import tinysegrank
from tests.conftest import tiny_settings
from tests.experiment.test_experiment_own_classes import COLOURS, LINES, NAMES, draw
from tests.exporting.test_exporting_network import by_onnx, pixels
from tests.fetching.published import annotation, sbd_archive, sbd_masks, voc_archive
from tests.segnet.segnet_toys import write_caffemodel
from tinysegrank.cli import app
from tinysegrank.config import to_toml
from tinysegrank.experiment import Segmenter
from tinysegrank.segnet import SegNet, load_segnet, predict
from tinysegrank.voc import CLASS_NAMES, VOID, VOCSegmentation, read_image, read_labels

pytestmark = pytest.mark.slow


def call(*arguments: object) -> tuple[str, str]:
    """Run a command that must succeed; return what it writes to the standard output and the standard error."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def write_settings(file: Path, voc: Path, **data: str) -> Path:
    """Write tiny settings to a TOML file, without the weights, which a command gives."""
    settings = tiny_settings(voc)
    file.write_text(to_toml(replace(settings, data=replace(settings.data, **data))).replace('weights = ""\n', ""))
    return file


def check_predictions(segmenter: Segmenter, split: VOCSegmentation) -> list[np.ndarray]:
    """Compare what `predict` writes and prints for a split's photographs with the Python API's; return the labels."""
    photographs = [split.image_path(i) for i in range(len(split))]
    said, _ = call("predict", *photographs, "--run", segmenter.run.path, "--proposals", "--json", "--out", "predicted")
    found = json.loads(said)
    assert [one["photograph"] for one in found] == list(map(str, photographs))
    maps = []
    for one, photograph in zip(found, photographs, strict=True):
        result = segmenter(photograph)
        assert sum(one["shares"].values()) == pytest.approx(1) and one["shares"] == pytest.approx(result.shares)
        assert [proposal["score"] for proposal in one["proposals"]] == pytest.approx(result.scores.tolist())
        ranked = [read_labels(proposal["file"], segmenter.classes) for proposal in one["proposals"]]
        np.testing.assert_array_equal(ranked, result.proposals)
        np.testing.assert_array_equal(read_labels(one["labels"], segmenter.classes), result.labels)
        with Image.open(one["overlay"]) as overlay:
            assert overlay.width == result.labels.shape[1]
        maps.append(result.labels)
    return maps


def check_label_maps(run: Path, split: VOCSegmentation, maps: Sequence[np.ndarray]) -> None:
    """Compare exported label maps with the labels, and their mean IoU with its definition."""
    folder, advice = call("export", "labels", run, "--out", "labels")
    for name, labels in zip(split.names, maps, strict=True):
        np.testing.assert_array_equal(read_labels(Path(folder.strip(), f"{name}.png"), split.classes), labels)
    said, _ = call(*shlex.split(advice.removeprefix("next: tinysegrank ")), "--json")
    masks = [split.labels(i) for i in range(len(split))]
    truth, labels = (np.concatenate([one.ravel() for one in some]) for some in (masks, maps))
    truth, labels = truth[truth != VOID], labels[truth != VOID]
    places = [(truth == k, labels == k) for k in range(len(split.classes))]
    iou = [(mask & label).sum() / (mask | label).sum() for mask, label in places if mask.any()]
    assert json.loads(said)["mean_iou"] == pytest.approx(np.mean(iou))


def check_proposals(segmenter: Segmenter, split: VOCSegmentation) -> None:
    """Compare exported proposals, their ranks and the ranker's scores with the Python API's."""
    table, _ = call("export", "proposals", segmenter.run.path, "--out", "proposals")
    with Path(table.strip()).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for i, name in enumerate(split.names):
        result = segmenter(split.image_path(i))
        ranked = sorted((row for row in rows if row["image"] == name), key=lambda row: int(row["rank"]))
        np.testing.assert_allclose([float(row["ranker_score"]) for row in ranked], result.scores, atol=1e-5)
        labels = [read_labels(Path("proposals", row["file"]), split.classes) for row in ranked]
        np.testing.assert_array_equal(labels, result.proposals)


def check_networks(segmenter: Segmenter, split: VOCSegmentation) -> None:
    """Compare what exported networks compute with what the Python API's network does."""
    photographs = [read_image(split.image_path(i)) for i in range(len(split))]
    expected = predict(segmenter.network, photographs)
    stored = [segmenter(photograph).coarse for photograph in photographs]
    np.testing.assert_allclose(stored, expected, rtol=0, atol=1e-3)  # of features that a run stores as float16
    assert np.ptp(expected, axis=(1, 2)).max() > 1e-2  # so that the comparisons say something
    file, _ = call("export", "safetensors", segmenter.run.path)
    np.testing.assert_allclose(predict(load_segnet(Path(file.strip())), photographs), expected, rtol=0, atol=1e-6)
    if find_spec("onnx") and find_spec("onnxruntime"):
        file, _ = call("export", "onnx", segmenter.run.path)
        side = segmenter.network.preset.preprocessing.size
        np.testing.assert_allclose(by_onnx(Path(file.strip()), pixels(photographs, side)), expected, rtol=0, atol=1e-5)


def test_published_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voc = voc_archive(tmp_path / "published", train=8, val=4)
    masks = sbd_masks(voc.with_name("VOCdevkit") / "VOC2012")
    sbd = sbd_archive(tmp_path / "benchmark.tgz", {name: annotation(mask) for name, mask in masks.items()})
    trunk = SegNet(4, "tiny", rng=np.random.default_rng(0)).trunk.parameters
    write_caffemodel(tmp_path / "net.caffemodel", {name: np.asarray(array) for name, array in trunk.items()})
    monkeypatch.chdir(tmp_path)
    call("fetch", "voc2012", "--to", "data", "--archive", voc)
    call("fetch", "sbd", "--to", "data", "--archive", sbd)
    root = Path("data/VOCdevkit/VOC2012")
    config = write_settings(tmp_path / "tiny.toml", root, train="train_aug")
    given = ("--voc", root, "--config", config, "--weights", "net.caffemodel", "--preset", "tiny")
    said, _ = call("run", *given, "--out", "run", "--jobs", 1)
    assert "10 images of VOC2012/train_aug" in said
    segmenter, val = tinysegrank.load("run"), VOCSegmentation(root, "val")
    assert segmenter.classes.names == CLASS_NAMES
    np.testing.assert_array_equal(segmenter.network.parameters["conv1.weight"], trunk["conv1.weight"])
    maps = check_predictions(segmenter, val)
    check_label_maps(Path("run"), val, maps)
    archive, _ = call("export", "voc", "run", "--out", "server")
    with tarfile.open(archive.strip()) as tar:
        tar.extractall("received", filter="data")
    for name, labels in zip(val.names, maps, strict=True):
        (received,) = Path("received").rglob(f"{name}.png")
        np.testing.assert_array_equal(read_labels(received), labels)


def test_classes_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "field", 14)
    for mask in Path("field/SegmentationClass").iterdir():  # as tools that paint masks write them
        Image.fromarray(np.array(COLOURS, np.uint8)[read_labels(mask)]).save(mask)
    Path("field/classes.txt").write_text(LINES)
    config = write_settings(tmp_path / "tiny.toml", Path("field"))
    said, _ = call("run", "--voc", "field", "--out", "run", "--experiment", "demo", "--config", config, "--jobs", 1)
    assert "RGB PNGs read by colour; 2 of 2 classes" in " ".join(said.split())
    segmenter = tinysegrank.load("run")
    assert segmenter.classes.names == NAMES and segmenter.classes.colours == COLOURS
    val = VOCSegmentation("field", "val", classes=segmenter.classes)
    check_label_maps(Path("run"), val, check_predictions(segmenter, val))
    check_proposals(segmenter, val)
    check_networks(segmenter, val)
