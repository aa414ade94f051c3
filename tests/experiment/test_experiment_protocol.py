"""The whole experiment at toy size: it runs, resumes, keeps, does not look at val, and its numbers are its files'."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import tiny_settings
from tinysegrank.errors import BackendError, ConfigError, DatasetError
from tinysegrank.experiment import (
    Segmenter,
    Silent,
    evaluate_folder,
    label_photographs,
    read_counts,
    run_experiment,
)
from tinysegrank.experiment.proposal_settings import MapSettings
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.stages.described import load_described
from tinysegrank.files import read_json
from tinysegrank.ranking import RANKERS, Ranker, fit_ranker
from tinysegrank.voc import VOCSegmentation, overlay, read_image, read_labels

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def toy(tiny_run) -> Path:
    return Path(tiny_run.settings.data.voc)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_run):
    path = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence", "report.html"))
    return read_run(path, jobs=1, progress=Silent())


def contents(path: Path, *suffixes: str) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.suffix in suffixes
    }


def test_the_table_is_what_the_label_maps_score(finished, toy):
    split, counts = VOCSegmentation(toy, "val"), read_counts(finished)
    assert len(counts) == 2 * 5 + 5 + 3  # naive and superpixel, Eq. 17, SVM, 1-best, oracle
    for name, confusion in counts.items():
        again = evaluate_folder(finished.path / name, split)
        np.testing.assert_array_equal(again.matrix, confusion.matrix)
    report = finished.folder("report")
    for file in (
        "table_2.md",
        "table_2.csv",
        "per_class.csv",
        "orderings.md",
        "panels.png",
        "oracle.png",
        "seconds.json",
    ):
        assert (report / file).is_file()
    mean = counts["picked/svm"].mean_iou().value * 100
    row = next(line for line in (report / "table_2.csv").read_text().splitlines() if line.startswith("SegNet+SVM,"))
    assert float(row.split(",")[1]) == pytest.approx(mean)


def test_the_oracle_is_at_least_as_good_in_every_image(finished, toy):
    from tinysegrank.metrics import image_iou

    split = VOCSegmentation(toy, "val")
    for i, name in enumerate(split.names):
        truth = split.labels(i)
        scores = {
            system: image_iou(truth, read_labels(finished.folder("picked") / system / f"{name}.png"))
            for system in ("oracle", "svm", "1-best", "segnet-uoi+ce")
        }
        assert scores["oracle"] == max(scores.values())


def test_two_processes_give_the_same_bits(tmp_path, finished, toy):
    other = run_experiment(tmp_path / "run", tiny_settings(toy), jobs=2, progress=Silent())
    kinds = (".npy", ".png", ".csv", ".safetensors")
    assert contents(other.path, *kinds) == contents(finished.path, *kinds)


def test_interrupted_anywhere_it_ends_the_same(tmp_path, finished, toy):
    class Interrupting(Silent):
        """Interrupts once, at the given line of progress."""

        def __init__(self, at):
            self.at, self.seen = at, 0

        def say(self, text):
            self.seen += 1
            if self.seen == self.at:
                raise KeyboardInterrupt

    for at in (2, 3, 4, 5):
        with pytest.raises(KeyboardInterrupt):
            run_experiment(tmp_path / "run", tiny_settings(toy), jobs=1, progress=Interrupting(at))
    other = run_experiment(tmp_path / "run", tiny_settings(toy), jobs=1, progress=Silent())
    kinds = (".npy", ".png", ".csv", ".safetensors")
    assert contents(other.path, *kinds) == contents(finished.path, *kinds)


def test_a_second_call_changes_nothing(finished, toy):
    before = {path: path.stat().st_mtime_ns for path in finished.path.rglob("*") if path.is_file()}
    run_experiment(finished.path, tiny_settings(toy), jobs=1, progress=Silent())
    after = {path: path.stat().st_mtime_ns for path in finished.path.rglob("*") if path.is_file()}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed <= {"run.toml"}


def test_only_the_stages_that_are_asked_for_are_done(tmp_path, finished, toy):
    run = run_experiment(tmp_path / "run", tiny_settings(toy), jobs=1, progress=Silent(), until="proposing")
    stages = {"data", "trunk", "superpixels", "maps", "proposing"}
    assert {path.name for path in run.path.iterdir()} == {"run.toml", "manifest.json", ".lock", *stages}
    kinds = (".safetensors", ".json")
    kept_apart = ("stamp", "manifest")  # they say what else was done
    ours = {name: data for name, data in contents(run.path, *kinds).items() if not any(k in name for k in kept_apart)}
    theirs = contents(finished.path, *kinds)
    assert ours == {name: theirs[name] for name in ours}


def test_another_ranker_on_some_blocks(tmp_path, finished, toy):
    shutil.copytree(finished.path, tmp_path / "run")
    settings = tiny_settings(toy)
    changed = replace(settings.ranking, ranker="all-pairs", C=(), blocks=("segnet", "rerank"))
    settings = replace(settings, ranking=changed)
    run = run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent(), update=True, until="ranker")
    chosen = read_json(run.folder("ranker") / "chosen.json")
    assert {float(C) for C in chosen["tried"]} == set(RANKERS["all-pairs"].grid)
    ranker = Ranker.load(run.folder("ranker") / "ranker.safetensors")
    assert ranker.blocks == ("segnet", "rerank")
    assert len(ranker.columns) == 86 + 1107
    for key, value in {"ranker": "magic", "blocks": ("colour",), "loss": "mse"}.items():
        with pytest.raises(ConfigError, match=f"^{key}="):
            replace(settings.ranking, **{key: value})


def test_the_ranker_is_fitted_on_balanced_blocks(finished):
    table, confusions, _ = load_described(finished, "train")
    settings = finished.settings.ranking
    options = {"grid": settings.C or RANKERS[settings.ranker].grid, "splits": settings.splits, "balance": True}
    expected = fit_ranker(table, confusions, blocks=settings.blocks, seed=finished.settings.seed, **options)
    ranker = Ranker.load(finished.folder("ranker") / "ranker.safetensors")
    np.testing.assert_allclose(ranker.coefficients, expected.ranker.coefficients, atol=1e-9)
    np.testing.assert_allclose(ranker.scale, expected.ranker.scale)


def test_a_changed_loss_retrains_only_its_networks(tmp_path, finished, toy):
    shutil.copytree(finished.path, tmp_path / "run")
    settings = tiny_settings(toy)
    longer = replace(settings.training.iou, steps=settings.training.iou.steps + 1)
    settings = replace(settings, training=replace(settings.training, iou=longer))
    before = {path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "run" / "training").glob("*/log.csv")}
    run = run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent(), update=True)
    after = {path.parent.name: path.stat().st_mtime_ns for path in run.folder("training").glob("*/log.csv")}
    assert before.keys() == after.keys()
    assert [name for name in after if after[name] != before[name]] == ["all-iou"]


def test_photographs_are_labelled_as_the_run_labels_val(tmp_path, finished, toy):
    split = VOCSegmentation(toy, "val")
    written = label_photographs([split.image_path(0), split.image_path(1)], finished.path, tmp_path, progress=Silent())
    for i, files in enumerate(written):
        expected = read_labels(finished.folder("picked") / "svm" / f"{split.names[i]}.png")
        np.testing.assert_array_equal(read_labels(files.labels), expected)
        assert files.labels == tmp_path / f"{split.names[i]}.labels.png"
        picture = read_image(files.overlay)[: len(expected)]  # its legend is below
        np.testing.assert_array_equal(picture, overlay(split.image(i), expected))


def test_a_photograph_is_not_labelled_without_its_backend(tmp_path, finished, toy, monkeypatch):
    monkeypatch.setenv("TINYSEGRANK_BACKEND", "nmupy")
    with pytest.raises(BackendError, match="nmupy: unknown backend"):
        label_photographs(
            [VOCSegmentation(toy, "val").image_path(0)], finished.path, tmp_path / "out", progress=Silent()
        )
    assert not (tmp_path / "out").exists()


def test_photographs_of_every_kind(tmp_path, finished, rng):
    segmenter = Segmenter(finished.path, progress=Silent())
    for image in (
        np.zeros((40, 60, 3), np.uint8),
        np.full((13, 200, 3), 255, np.uint8),
        rng.integers(0, 256, (64, 50, 3), dtype=np.uint8),
    ):
        labels = segmenter(image).labels
        assert labels.shape == image.shape[:2]
        assert labels.max() <= 20
    from PIL import Image

    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(DatasetError, match=r"small\.png: a side is below 13"):
        label_photographs([tmp_path / "small.png"], finished.path, tmp_path / "out", progress=Silent())
    assert not (tmp_path / "out").exists()


@pytest.mark.voc
def test_real_images_with_the_real_trunk(tmp_path, voc_root, alexnet_weights):
    small = tiny_settings(voc_root)
    settings = replace(
        small,
        data=replace(small.data, voc=str(voc_root), train="train", val="val", limit=8),
        trunk=replace(small.trunk, preset="alexnet", weights=str(alexnet_weights)),
        maps=MapSettings(),
    )
    run = run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent())
    counts = read_counts(run)
    assert counts["picked/oracle"].matrix.sum() == counts["upsampled/naive-ce"].matrix.sum() > 0
