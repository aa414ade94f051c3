"""The image classifiers of a run: who is scored by whom, and the same from one process or two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinysegrank.experiment import Run, Silent, named_settings, run_experiment
from tinysegrank.experiment.images import folds, open_split
from tinysegrank.experiment.stages.classifiers import STAGE, scores_of
from tinysegrank.experiment.stages.features import store
from tinysegrank.ranking import ImageClassifier, class_shares, image_descriptors
from tinysegrank.voc import make_toy_voc

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("toy")
    make_toy_voc(root, train=18, val=4, seed=3)
    return root


def classify(path: Path, voc: Path, *, jobs: int = 1) -> Run:
    demo = named_settings("demo")
    settings = replace(
        demo,
        folds=3,
        data=replace(demo.data, voc=str(voc)),
        trunk=replace(demo.trunk, pretrain_images=24, pretrain_steps=3, chunk=4),
    )
    return run_experiment(path, settings, jobs=jobs, progress=Silent(), until=STAGE.name)


@pytest.fixture(scope="module")
def classified(tmp_path_factory, toy) -> Run:
    return classify(tmp_path_factory.mktemp("run") / "run", toy)


def test_an_image_is_scored_by_classifiers_that_did_not_see_it(classified):
    split, features = open_split(classified.settings, "train"), store(classified, "train")
    shares = np.concatenate([class_shares(split.labels(i)[None]) for i in range(len(split))])
    both = image_descriptors(features.gather("features"))
    plain, mirrored = both[::2], both[1::2]
    found, fold_of = scores_of(classified, "train"), folds(classified)
    for fold in range(3):
        seen, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        rows = np.stack([plain[seen], mirrored[seen]], axis=1).reshape(2 * len(seen), -1)
        classifier = ImageClassifier.fit(rows, np.repeat(shares[seen], 2, axis=0))
        assert classifier.weights.any()
        for image in held_out:
            scores, thresholds = found[image]
            np.testing.assert_allclose(scores, classifier.scores(plain[[image]])[0], atol=1e-5)
            np.testing.assert_array_equal(thresholds, classifier.thresholds)


def test_val_is_scored_by_the_classifiers_of_all_training_images(classified):
    classifier = ImageClassifier.load(classified.folder(STAGE.name) / "all.safetensors")
    descriptors = image_descriptors(store(classified, "val").gather("features"))[::2]
    found = scores_of(classified, "val")
    np.testing.assert_allclose(np.stack([scores for scores, _ in found]), classifier.scores(descriptors), atol=1e-6)


def test_two_processes_give_the_same_bits(tmp_path, classified, toy):
    other = classify(tmp_path / "run", toy, jobs=2)

    def files(run: Run) -> dict[str, bytes]:
        paths = sorted(run.folder(STAGE.name).iterdir())
        return {path.name: path.read_bytes() for path in paths if path.name != "stamp.json"}

    assert files(other) == files(classified)
