"""Coarse maps that crops have a part in: what a run makes for them, keeps, and gives its photographs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinysegrank.errors import ConfigError
from tinysegrank.evidence.judge import Judge, make_judge
from tinysegrank.evidence.trainings import Head, train_head
from tinysegrank.experiment import Run, Segmenter, Settings, Silent, run_experiment, stages_until
from tinysegrank.experiment.images import folds
from tinysegrank.experiment.settings import CoarseSettings
from tinysegrank.experiment.stages import crops
from tinysegrank.experiment.stages.coarse import coarse_of as run_coarse_of
from tinysegrank.experiment.stages.coarse import read_coarse
from tinysegrank.experiment.stages.features import store
from tinysegrank.experiment.stages.training import Training, network_path
from tinysegrank.segnet import load_segnet, mean_with_crops, predict_features, predict_store
from tinysegrank.segnet.crops import corner_windows
from tinysegrank.voc import VOCSegmentation, read_labels

pytestmark = pytest.mark.slow

SHARE = 0.6


def with_crops(settings: Settings, share: float = SHARE, *, mirrored: bool = False) -> Settings:
    return replace(settings, coarse=CoarseSettings(mirrored=mirrored, crops=share))


def continued(base: Run, path: Path, settings: Settings, *, until: str = "coarse", progress=None) -> Run:
    """A copy of a run, or the copy that is there, brought up to date under other settings."""
    if not path.exists():
        shutil.copytree(base.path, path, ignore=shutil.ignore_patterns("evidence"))
    return run_experiment(path, settings, jobs=1, progress=progress or Silent(), update=True, until=until)


def written(run: Run) -> dict[str, int]:
    """When each stage's stamp was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in run.path.glob("*/stamp.json")}


def maps(run: Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.folder("coarse").glob("*.npy")}


@pytest.fixture(scope="module")
def cropped(tmp_path_factory, tiny_run):
    """The whole run with crops and mirror images; read it only."""
    path = tmp_path_factory.mktemp("cropped") / "run"
    return continued(tiny_run, path, with_crops(tiny_run.settings, mirrored=True), until="report")


def coarse_of(network, image: np.ndarray, *, mirrored: bool) -> np.ndarray:
    """The map of one image, view by view."""

    def view(window):
        x = network.preset.preprocessing.apply(image, window=window)
        views = [x, np.flip(x, axis=2).copy()] if mirrored else [x]
        found = [predict_features(network, network.features(one[None]))[0] for one in views]
        return (found[0] + np.flip(found[1], axis=1)) / 2 if mirrored else found[0]

    corners = np.stack([view(window)[None] for window in corner_windows(SHARE)])
    return mean_with_crops(view((0, 0, 1, 1))[None], corners, SHARE)[0]


# Maps ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mirrored", [False, True])
def test_maps_are_those_of_the_networks_image_by_image(tmp_path, tiny_run, mirrored):
    run = continued(tiny_run, tmp_path / "run", with_crops(tiny_run.settings, mirrored=mirrored))
    assert crops.store(run, "val").gather("features").shape[0] == 6 * 4 * (1 + mirrored)
    voc, loss = tiny_run.settings.data.voc, run.settings.ranking.loss
    val, train, fold_of = VOCSegmentation(voc, "val"), VOCSegmentation(voc, "train"), folds(run)
    own = load_segnet(network_path(run, Training(-1, loss)))
    found, plain = read_coarse(run, f"val-{loss}"), read_coarse(tiny_run, f"val-{loss}")
    for image in (0, 5):
        expected = coarse_of(own, val.image(image), mirrored=mirrored)
        np.testing.assert_allclose(found[image], expected, atol=2e-4)
        assert np.abs(expected - plain[image]).max() > 1e-3
    for image in (0, 9):  # by the network that did not see them
        unseen = load_segnet(network_path(run, Training(int(fold_of[image]), loss)))
        expected = coarse_of(unseen, train.image(image), mirrored=mirrored)
        np.testing.assert_allclose(read_coarse(run, "train")[image], expected, atol=2e-4)


def test_photographs_are_labelled_as_the_run_labels_val(cropped):
    segmenter, split = Segmenter(cropped.path, progress=Silent()), VOCSegmentation(cropped.settings.data.voc, "val")
    features = store(cropped, "val").gather("features")
    coarse = read_coarse(cropped, f"val-{cropped.settings.ranking.loss}")
    for i, name in enumerate(split.names):
        image = split.image(i)
        found = run_coarse_of(segmenter.network, image, features[2 * i : 2 * i + 2], cropped.settings)
        np.testing.assert_allclose(found, coarse[i], atol=1e-5)
        chosen = read_labels(cropped.folder("picked") / "svm" / f"{name}.png")
        np.testing.assert_array_equal(segmenter(image).labels, chosen)


def test_photographs_without_crops(tiny_run, cropped):
    split = VOCSegmentation(tiny_run.settings.data.voc, "val")
    features = store(tiny_run, "val").gather("features", np.arange(2))
    coarse = read_coarse(tiny_run, f"val-{tiny_run.settings.ranking.loss}")[0]
    network = Segmenter(tiny_run.path, progress=Silent()).network
    found = run_coarse_of(network, split.image(0), features, tiny_run.settings)
    np.testing.assert_allclose(found, coarse, atol=1e-5)
    assert np.abs(read_coarse(cropped, f"val-{tiny_run.settings.ranking.loss}")[0] - coarse).max() > 1e-3


# What is done, kept and done again -----------------------------------------------------------------------------------


def test_without_crops_none_are_made(tiny_run):
    assert "crops" not in [stage.name for stage in stages_until("report", tiny_run.settings)]
    assert not tiny_run.folder("crops").exists()


def test_only_what_depends_on_crops_is_done_again(tmp_path, tiny_run):
    settings, path = tiny_run.settings, tmp_path / "run"
    plain = continued(tiny_run, path, settings)
    before, plain_maps = written(plain), maps(plain)
    first = continued(tiny_run, path, with_crops(settings))
    after, first_maps = written(first), maps(first)
    assert {name for name in after if after[name] != before.get(name)} == {"crops", "coarse"}
    assert all(first_maps[name] != plain_maps[name] for name in plain_maps)
    second = written(continued(tiny_run, path, with_crops(settings, 0.8)))
    assert {name for name in second if second[name] != after[name]} == {"crops", "coarse"}
    third = written(continued(tiny_run, path, with_crops(settings, 0.8, mirrored=True)))
    assert {name for name in third if third[name] != second[name]} == {"crops", "coarse"}
    none = continued(tiny_run, path, settings)
    assert maps(none) == plain_maps
    assert {name for name, time in written(none).items() if time != third[name]} == {"coarse"}
    again = continued(tiny_run, path, with_crops(settings, 0.8, mirrored=True))
    assert written(again)["crops"] == third["crops"]  # they were still there


def test_interrupted_it_goes_on_with_the_chunks_that_are_there(tmp_path, tiny_run):
    class Interrupting(Silent):
        """Interrupts before the images of val."""

        def count(self, what, total):
            if what == "val images":
                raise KeyboardInterrupt
            return super().count(what, total)

    settings = with_crops(tiny_run.settings)
    whole = continued(tiny_run, tmp_path / "whole", settings)
    with pytest.raises(KeyboardInterrupt):
        continued(tiny_run, tmp_path / "run", settings, progress=Interrupting())
    half = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "crops").rglob("*.npy")}
    assert {path.parent.name for path in half} == {"train"}
    run = continued(tiny_run, tmp_path / "run", settings)
    assert {path: path.stat().st_mtime_ns for path in half} == half
    assert maps(run) == maps(whole)


def test_evidence_judges_with_crops_too(tmp_path, cropped, monkeypatch):
    judge, judged, naive = make_judge(cropped, picks=False), [], Judge.naive
    monkeypatch.setattr(Judge, "naive", lambda self, coarse: judged.append(coarse) or naive(self, coarse))
    options = replace(cropped.settings.training.start, steps=2)
    without = replace(cropped, settings=replace(cropped.settings, coarse=CoarseSettings(mirrored=True)))
    head, plain = (Head(run, tmp_path / "head", options, [0], judge) for run in (cropped, without))
    assert head.key() != plain.key()
    train_head(head)
    network, val = load_segnet(head.folder / "segnet.safetensors"), store(cropped, "val")
    coarse = predict_store(network, val, mirrored=True, crops=crops.store(cropped, "val"))
    np.testing.assert_allclose(judged[-1], coarse, atol=1e-6)
    assert np.abs(predict_store(network, val, mirrored=True) - coarse).max() > 1e-4


@pytest.mark.parametrize("share", [-0.1, 0.3, 1.0, 67.0, float("nan")])
def test_shares_that_are_none(share):
    with pytest.raises(ConfigError, match=r"^crops="):
        CoarseSettings(crops=share)
