"""Scoring folders of label PNGs, against scikit-learn, and what is wrong with a folder."""

from __future__ import annotations

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
    with pytest.raises(DatasetError, match="nowhere: is no folder"):
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
    with pytest.raises(DatasetError, match=rf"{split.names[0]}\.png.*255"):
        evaluate_folder(tmp_path, split)
