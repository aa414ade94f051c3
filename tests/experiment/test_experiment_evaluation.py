"""Scoring folders of label PNGs, against scikit-learn, and what is wrong with a folder."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import jaccard_score

from tinysegrank.errors import DatasetError
from tinysegrank.experiment import evaluate_folder
from tinysegrank.voc import VOCSegmentation, make_toy_voc, write_labels


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    make_toy_voc(root, train=1, val=3, seed=4)
    return VOCSegmentation(root, "val")


def write_predictions(folder, split, rng):
    predictions = []
    for name, truth in zip(split.names, map(split.labels, range(len(split))), strict=True):
        labels = np.where(rng.random(truth.shape) < 0.3, rng.integers(0, 21, truth.shape), truth).astype(np.uint8)
        labels[truth == 255] = 3
        write_labels(folder / f"{name}.png", labels)
        predictions.append(labels)
    return predictions


@pytest.mark.parametrize("jobs", [1, 2])
def test_agrees_with_scikit_learn(tmp_path, split, rng, jobs):
    predictions = write_predictions(tmp_path, split, rng)
    truths = np.concatenate([split.labels(i).ravel() for i in range(len(split))])
    labels = np.concatenate([prediction.ravel() for prediction in predictions])[truths != 255]
    truths = truths[truths != 255]
    expected = jaccard_score(truths, labels, labels=range(21), average=None, zero_division=0)
    np.testing.assert_allclose(np.nan_to_num(evaluate_folder(tmp_path, split, jobs=jobs).iou()), expected)


def test_the_truth_itself_is_perfect_and_void_needs_a_label(tmp_path, split):
    for i, name in enumerate(split.names):
        write_labels(tmp_path / f"{name}.png", np.where(split.labels(i) == 255, 0, split.labels(i)).astype(np.uint8))
    assert evaluate_folder(tmp_path, split).mean_iou().value == 1.0


def test_a_missing_label_map_is_named(tmp_path, split, rng):
    write_predictions(tmp_path, split, rng)
    (tmp_path / f"{split.names[1]}.png").unlink()
    with pytest.raises(DatasetError, match=rf"lacks 1 of the 3 label maps.*{split.names[1]}\.png"):
        evaluate_folder(tmp_path, split)


def test_a_missing_folder_is_named(tmp_path, split):
    with pytest.raises(DatasetError, match="nowhere: is not a folder"):
        evaluate_folder(tmp_path / "nowhere", split)


def test_a_label_map_of_another_size_is_named(tmp_path, split, rng):
    predictions = write_predictions(tmp_path, split, rng)
    write_labels(tmp_path / f"{split.names[2]}.png", predictions[2][:-1])
    with pytest.raises(DatasetError, match=rf"{split.names[2]}\.png: is .* write labels at the size of their image"):
        evaluate_folder(tmp_path, split)


def test_labels_that_are_no_class_are_named(tmp_path, split, rng):
    predictions = write_predictions(tmp_path, split, rng)
    wrong = predictions[0].copy()
    wrong[0, 0] = 21
    Image.fromarray(wrong).save(tmp_path / f"{split.names[0]}.png")
    with pytest.raises(DatasetError, match=rf"{split.names[0]}\.png"):
        evaluate_folder(tmp_path, split)


def test_void_is_no_prediction(tmp_path, split, rng):
    write_predictions(tmp_path, split, rng)
    write_labels(tmp_path / f"{split.names[0]}.png", split.labels(0))
    words = "holds void (255), which only the truth may; label every pixel with a class (0..20)"
    with pytest.raises(DatasetError, match=rf"{split.names[0]}\.png: {re.escape(words)}$"):
        evaluate_folder(tmp_path, split)


@pytest.fixture
def own(tmp_path, split):
    """A copy of the split, to spoil."""
    shutil.copytree(split.root, tmp_path / "own")
    return VOCSegmentation(tmp_path / "own", "val")


def test_a_truth_without_objects_is_refused(tmp_path, own):
    for i, name in enumerate(own.names):
        truth = own.labels(i)
        Image.fromarray(np.where((truth > 0) & (truth < 255), 255, 0).astype(np.uint8)).save(own.labels_path(i))
        write_labels(tmp_path / f"{name}.png", np.zeros_like(truth))
    with pytest.raises(DatasetError, match=r"no mask of split 'val' has an object; objects may not be painted 255"):
        evaluate_folder(tmp_path, own)


@pytest.mark.parametrize("spoilt", ["truth", "labels"])
def test_numbers_of_another_list_are_refused(tmp_path, own, spoilt):
    for i, name in enumerate(own.names):
        labels = np.full_like(own.labels(i), min(i, 1))
        write_labels(tmp_path / f"{name}.png", labels)
        if spoilt == "truth":
            write_labels(own.labels_path(i), labels)
        image = Image.fromarray(labels)
        image.putpalette([250, 50, 83, 0, 0, 0])
        image.save(own.labels_path(i) if spoilt == "truth" else tmp_path / f"{name}.png")
    with pytest.raises(
        DatasetError, match=rf"{own.names[0]}\.png: label 0 is coloured, and in {own.names[1]}\.png label 1"
    ):
        evaluate_folder(tmp_path, own)
