"""What reaches which fit: no validation image any, and an image of a fold none of the models that its rows come from.

Images and truths of a part of the data are exchanged, and all that is fitted without them has to stay the same to the
bit: networks, regressions of segments, classifiers of superpixels and of images, and the ranker.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import tiny_settings
from tinysegrank.errors import ConfigError
from tinysegrank.experiment import Run, Silent, images, photograph, run_experiment
from tinysegrank.experiment.images import images_of
from tinysegrank.experiment.photograph import Photograph, PhotographOfRun
from tinysegrank.experiment.proposal_settings import CrfSettings, PasteSettings, ProposalSettings
from tinysegrank.experiment.proposers import proposers_of
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps, proposals
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.experiment.stages.segments import images_to_fit_on, read_segments, segments_of
from tinysegrank.experiment.stages.superpixels import superpixels_of
from tinysegrank.proposals import (
    FEATURE_NAMES,
    CpmcOptions,
    MapPoolingOptions,
    SecondOrderOptions,
    SegmentOptions,
    SegmentScorer,
    SuperpixelClassifier,
    interleave,
)
from tinysegrank.proposals.o2p.cpmc import SEGMENT_FEATURES, SegmentRanker
from tinysegrank.voc import VOCSegmentation, make_toy_voc, write_labels

pytestmark = pytest.mark.slow

FOLDS = 3
POOLED = tuple(f"pooled/{name}.safetensors" for name in ("reduction", "second-order", "means"))
FITTED = ("trunk", "features/scale.json", "training", "classifiers", "segments", *POOLED, "proposing", "ranker")


def settings_for(voc: Path) -> Settings:
    tiny = tiny_settings(voc)
    segments = SegmentOptions(
        CpmcOptions(superpixels=120, grid=3, steps=8, count=20),
        SecondOrderOptions(sift_cells=(4,), lbp_cells=(4,), step=8),
        sift=12,
        lbp=8,
        length=12,
        rank_channels=4,
    )
    proposals = ProposalSettings(
        engine="both",
        count=4,
        crf=CrfSettings("both", strengths=(4.0,), lambdas=(0.3,), choice_images=2),
        paste=PasteSettings(
            segments,
            fit_images=3,
            thresholds=(0.1,),
            lambdas=(0.1,),
            choice_images=2,
            features="both",
            maps=MapPoolingOptions(channels=6, length=8),
        ),
    )
    return replace(
        tiny,
        folds=FOLDS,
        trunk=replace(tiny.trunk, chunk=1),
        training=replace(tiny.training, feature_scale=0.5),
        proposals=proposals,
    )


def exchanged(voc: Path, copy: Path, which: str, indices: np.ndarray) -> Path:
    """A copy of the data in which some images are black, and half of each is of another class."""
    shutil.copytree(voc, copy)
    split = VOCSegmentation(voc, which)
    for index in indices:
        image, labels = split.image(int(index)), split.labels(int(index)).copy()
        Image.fromarray(np.zeros_like(image)).save(split_path(copy, split.image_path(int(index))))
        labels[: len(labels) // 2] = (labels[: len(labels) // 2] % 20) + 1
        write_labels(split_path(copy, split.labels_path(int(index))), labels)
    return copy


def split_path(root: Path, path: Path) -> Path:
    return root / path.parent.name / path.name


def fitted(run: Run) -> dict[str, bytes]:
    """Every file of what is fitted, but for what is of single images."""
    files = [file for place in FITTED for file in sorted([run.path / place, *(run.path / place).rglob("*")])]
    kinds = (".safetensors", ".csv", ".json")
    found = {str(file.relative_to(run.path)): file for file in files if file.is_file() and file.suffix in kinds}
    return {name: file.read_bytes() for name, file in found.items() if not name.endswith("stamp.json")}


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("toy")
    make_toy_voc(root, train=12, val=4, seed=4)
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory, toy) -> Run:
    return run_experiment(tmp_path_factory.mktemp("run") / "run", settings_for(toy), jobs=1, progress=Silent())


def test_validation_images_reach_no_fit(tmp_path, run, toy):
    changed = exchanged(toy, tmp_path / "toy", "val", np.arange(4))
    other = run_experiment(tmp_path / "run", settings_for(changed), jobs=1, progress=Silent(), until="ranker")
    mine, theirs = fitted(run), fitted(other)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []
    stages = {name.split("/")[0] for name in mine}
    assert stages == {place.split("/")[0] for place in FITTED}
    assert {"proposing/crf/all.safetensors", "proposing/paste/all.safetensors"} <= mine.keys()
    fitted_on = SuperpixelClassifier.load(run.path / "proposing/crf/all.safetensors").centre_
    assert len(fitted_on) == len(FEATURE_NAMES) + 2 * 3 * 64 + 2  # the trunk's maps are among what it learnt from
    columns = SegmentScorer.load(run.path / "proposing/paste/all.safetensors").weights_.shape[1]
    assert columns == 12 + 2 * 8  # here too
    rankers = [name for name in mine if name.startswith("segments/ranker") and "maps" not in name]
    assert len(rankers) == 1 + FOLDS
    for name in rankers:
        assert len(SegmentRanker.load(run.path / name).centre_) == len(SEGMENT_FEATURES) + 2 * 4  # and here
    assert set(POOLED) <= mine.keys()


def test_a_fold_reaches_no_model_that_its_rows_come_from(tmp_path, run, toy):
    fold_of = images.folds(run)
    fitted_on = [image.number for image in images_to_fit_on(run)]  # projections of segments, which use no truth
    (fold,) = {1, 2} - set(fold_of[fitted_on])  # constants are chosen on fold 0
    changed = exchanged(toy, tmp_path / "toy", "train", np.flatnonzero(fold_of == fold))
    other = run_experiment(tmp_path / "run", settings_for(changed), jobs=1, progress=Silent(), until="described")
    mine, theirs = fitted(run), fitted(other)
    without = [name for name in theirs if f"without-fold-{fold}" in name]
    places = {"/".join(name.split("/")[:2]) for name in without if name.endswith(".safetensors")}
    assert places == {
        f"training/without-fold-{fold}-start",
        f"training/without-fold-{fold}-uoi+ce",
        f"classifiers/without-fold-{fold}.safetensors",
        "segments/ranker",
        "proposing/crf",
        "proposing/paste",
    }
    assert [name for name in without if mine[name] != theirs[name]] == []
    for name in theirs:  # and it reaches the others: the test can fail
        if name.startswith(("training/", "proposing/")) and name.endswith(".safetensors") and name not in without:
            assert mine[name] != theirs[name], name


def test_the_truth_of_a_fold_reaches_no_ranker_of_its_segments(tmp_path, run, toy):
    fold_of, settings = images.folds(run), settings_for(toy)
    copy = shutil.copytree(toy, tmp_path / "toy")
    settings = replace(settings, data=replace(settings.data, voc=str(copy)))
    paste = replace(settings.proposals.paste, fit_images=12)
    settings = replace(settings, proposals=replace(settings.proposals, paste=paste))
    mine = run_experiment(tmp_path / "mine", settings, jobs=1, progress=Silent(), until="segments")
    before, fold, split = fitted(mine), int(fold_of[3]), VOCSegmentation(copy, "train")
    for index in np.flatnonzero(fold_of == fold):
        labels = split.labels(int(index)).copy()
        labels[: len(labels) // 2] = 7
        write_labels(split.labels_path(int(index)), labels)
    after = fitted(run_experiment(tmp_path / "other", settings, jobs=1, progress=Silent(), until="segments"))
    rankers = {name for name in before if name.startswith("segments/ranker")} - {"segments/ranker-maps.safetensors"}
    assert len(rankers) == 1 + FOLDS
    assert {name for name in rankers if before[name] == after[name]} == {
        f"segments/ranker/without-fold-{fold}.safetensors"
    }
    assert before["segments/ranker-maps.safetensors"] == after["segments/ranker-maps.safetensors"]

    (image,) = images_of(mine, "train", [3])
    found, expected = read_segments(image)[0], segments_of(image, image.image(), fold=fold)
    np.testing.assert_array_equal(found.members, expected.members)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_a_photograph_gets_what_the_run_made_and_is_looked_at_once(run, toy, monkeypatch):
    counted = {"superpixels": 0, "maps": 0}

    def counting(what, function):
        def call(*arguments):
            counted[what] += 1
            return function(*arguments)

        return call

    split = VOCSegmentation(toy, "val")
    make_maps = maps.load_maps(run)
    monkeypatch.setattr(maps, "load_maps", lambda _: counting("maps", make_maps))
    monkeypatch.setattr(photograph, "superpixels_of", counting("superpixels", superpixels_of))
    for index in (0, 2):
        found = proposals.propose(Photograph(run, split.image(index)))
        labels, _ = store(run, "val").read(split.names[index])
        np.testing.assert_array_equal(np.stack([proposal.labels for proposal in found]), labels)
    assert counted == {"superpixels": 2, "maps": 2}


def test_too_few_images_for_the_segment_ranker_are_called_that(tmp_path, toy):
    settings = settings_for(toy)
    paste = replace(settings.proposals.paste, fit_images=1)
    settings = replace(settings, proposals=replace(settings.proposals, paste=paste))
    with pytest.raises(ConfigError, match=r"paste\.fit_images=1: .* outside fold 0"):
        run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent(), until="segments")


def test_the_rows_of_a_fold_are_by_the_models_without_it(run):
    fold_of, proposers = images.folds(run), proposers_of(run.settings)
    names = images.names(run, "train")
    assert [image.fold for image in images_of(run, "train")] == fold_of.tolist()
    assert {image.fold for image in images_of(run, "val")} == {-1}
    for image in (0, 5):
        photograph = PhotographOfRun(*images_of(run, "train", [image]))
        proposed = (proposer.propose(photograph, int(fold_of[image])) for proposer in proposers)
        found = interleave(*proposed, count=run.settings.proposals.count)
        labels, _ = store(run, "train").read(names[image])
        np.testing.assert_array_equal(labels, np.stack([proposal.labels for proposal in found]))
