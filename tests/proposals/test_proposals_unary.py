"""The superpixel classifier: its optimum is known where it is convex, files give back what was fitted, rare classes."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from tinysegrank.errors import CheckpointError, ConfigError, DatasetError, ShapeError
from tinysegrank.files import read_about, read_arrays, write_arrays
from tinysegrank.proposals import SuperpixelClassifier, label_fractions
from tinysegrank.proposals.crf import unary
from tinysegrank.proposals.crf.unary import FLOOR
from tinysegrank.stored_rows import RowFile

SMALL = {"hidden": 16, "epochs": 40, "rate": 1e-2}


def blobs(seed=0, count=300, classes=3):
    """Superpixels of well separated classes, as (features, fractions, weights, class)."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, classes, count)
    features = (rng.normal(0, 0.5, (count, 4)) + 3 * np.eye(classes, 4)[which]).astype(np.float32)
    return features, np.eye(classes, dtype=np.float32)[which], rng.integers(1, 100, count), which


def test_fractions_are_the_distribution_over_pixels_that_are_not_void():
    superpixels = np.array([[0, 0, 1], [0, 2, 1]])
    labels = np.array([[3, 255, 255], [0, 5, 255]])
    fractions, weights = label_fractions(labels, superpixels, num_classes=21)
    assert weights.tolist() == [2, 0, 1]
    expected = np.zeros((3, 21))
    expected[0, [0, 3]] = 0.5
    expected[2, 5] = 1
    np.testing.assert_array_equal(fractions, expected)
    with pytest.raises(ShapeError, match="same size"):
        label_fractions(labels.T, superpixels, num_classes=21)
    with pytest.raises(DatasetError, match="21 is not a class"):  # it would count as background of the next superpixel
        label_fractions(np.full_like(labels, 21), superpixels, num_classes=21)


@pytest.mark.parametrize("classes", [2, 3])
def test_learns_separated_classes(classes):
    features, fractions, weights, _ = blobs(classes=classes)
    fitted = SuperpixelClassifier(**SMALL).fit(features, fractions, weights, rng=np.random.default_rng(0))
    test, _, _, which = blobs(seed=1, classes=classes)
    log = fitted.log_probabilities(test)
    assert (log.argmax(axis=1) == which).mean() > 0.97
    np.testing.assert_allclose(np.exp(log).sum(axis=1), 1)


def test_fractions_and_weights_give_the_probabilities():
    # Superpixels of one look: the probability is the share of the pixels, so heavy superpixels count more.
    features = np.zeros((400, 3), np.float32)
    fractions = np.tile([[1.0, 0.0], [0.4, 0.6]], (200, 1))
    weights = np.tile([50, 100], 200)
    fractions[0], weights[0] = (0, 1), 0  # left out
    fitted = SuperpixelClassifier(**SMALL).fit(features, fractions, weights, rng=np.random.default_rng(0))
    np.testing.assert_allclose(np.exp(fitted.log_probabilities(features[:1]))[0], [0.6, 0.4], atol=0.02)
    assert fitted.prior_ == pytest.approx([0.6, 0.4], abs=0.002)


def test_balance_divides_by_the_prior():
    features, fractions, weights, _ = blobs()
    fitted = SuperpixelClassifier(**SMALL).fit(features, fractions, weights, rng=np.random.default_rng(0))
    p = np.exp(fitted.log_probabilities(features))
    expected = p / fitted.prior_**0.5
    balanced = np.exp(fitted.log_probabilities(features, balance=0.5))
    np.testing.assert_allclose(balanced, expected / expected.sum(axis=1, keepdims=True))
    with pytest.raises(ConfigError, match="balance"):
        fitted.log_probabilities(features, balance=1.5)


def test_classes_with_few_superpixels_are_not_learnt_and_said(caplog):
    features, fractions, weights, which = blobs(classes=3)
    fractions = np.pad(fractions, ((0, 0), (0, 2)))  # class 4 is never there
    rows = np.flatnonzero(which == 2)[:4]  # class 3 is at 4 superpixels
    fractions[rows] = np.eye(5)[3]
    with caplog.at_level(logging.INFO):
        fitted = SuperpixelClassifier(**SMALL).fit(features, fractions, weights, rng=np.random.default_rng(0))
    assert fitted.classes_.tolist() == [0, 1, 2]
    assert [record.args[:2] for record in caplog.records] == [(3, 4), (4, 0)]
    for balance in (0.0, 1.0):
        log = fitted.log_probabilities(features, balance=balance)
        assert np.isfinite(log).all()
        assert set(log.argmax(axis=1)) == {0, 1, 2}
    np.testing.assert_allclose(np.exp(fitted.log_probabilities(features)[:, 3:]), FLOOR)


def test_one_class_only_is_certain():
    fitted = SuperpixelClassifier().fit(
        np.zeros((9, 2), np.float32), np.eye(3)[[1] * 9], np.ones(9), rng=np.random.default_rng(0)
    )
    assert np.exp(fitted.log_probabilities(np.ones((1, 2), np.float32)))[0] == pytest.approx(
        [FLOOR, 1 - 2 * FLOOR, FLOOR]
    )


def test_same_seed_same_classifier_and_files_give_it_back(tmp_path):
    features, fractions, weights, _ = blobs()
    options = {**SMALL, "epochs": 3, "sample": 100}
    first, second = (
        SuperpixelClassifier(**options).fit(features, fractions, weights, rng=np.random.default_rng(7))
        for _ in range(2)
    )
    first.save(tmp_path / "classifier.safetensors")
    loaded = SuperpixelClassifier.load(tmp_path / "classifier.safetensors")
    expected = first.log_probabilities(features, balance=0.3)
    for other in (second, loaded):
        np.testing.assert_array_equal(other.log_probabilities(features, balance=0.3), expected)
    third = SuperpixelClassifier(**options).fit(features, fractions, weights, rng=np.random.default_rng(8))
    assert not np.array_equal(third.log_probabilities(features), first.log_probabilities(features))


@pytest.mark.parametrize("block", [7, 1000])
def test_rows_of_a_file_are_as_good_as_arrays_of_them(tmp_path, monkeypatch, block):
    monkeypatch.setattr(unary, "BLOCK", block)
    features, fractions, weights, _ = blobs()
    features[:, 3] = 5  # a constant column
    features[1] = np.nan  # is not among the rows
    features.tofile(tmp_path / "features")
    on_disk = np.memmap(tmp_path / "features", np.float32, "r").reshape(features.shape)
    rows = np.arange(2, 300, 2)
    weights[rows[:5]] = 0
    options = {**SMALL, "epochs": 2, "sample": 60}
    some = SuperpixelClassifier(**options).fit(
        features[rows], fractions[rows], weights[rows], rng=np.random.default_rng(3)
    )
    monkeypatch.setattr(unary, "_FRACTIONS", block)
    fractions.tofile(tmp_path / "fractions")
    shares = RowFile(tmp_path / "fractions", len(fractions), np.float32)
    same = SuperpixelClassifier(**options).fit(on_disk, shares, weights, rng=np.random.default_rng(3), rows=rows)
    np.testing.assert_allclose(same.prior_, some.prior_, rtol=1e-12)
    np.testing.assert_allclose(same.centre_, features[rows].mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(same.scale_, [*features[rows, :3].std(axis=0, dtype=np.float64), 1], rtol=1e-6)
    np.testing.assert_array_equal(same.log_probabilities(features[2:]), some.log_probabilities(features[2:]))
    with pytest.raises(ShapeError, match="finite"):
        same.fit(on_disk, fractions, weights, rng=np.random.default_rng(3))


def test_files_of_something_else_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    write_arrays(path, {"prior": np.ones(3)})
    with pytest.raises(CheckpointError, match=r"other.safetensors.*superpixel classifier"):
        SuperpixelClassifier.load(path)
    with pytest.raises(CheckpointError, match="absent"):
        SuperpixelClassifier.load(tmp_path / "absent")


def test_a_file_whose_layers_do_not_follow_is_damaged(tmp_path):
    path = tmp_path / "classifier.safetensors"
    features, fractions, weights, _ = blobs()
    SuperpixelClassifier(**SMALL).fit(features, fractions, weights, rng=np.random.default_rng(0)).save(path)
    about, arrays = read_about(path), read_arrays(path)
    for name, wrong in (("hidden.weight", arrays["hidden.weight"][:, :3]), ("output.bias", np.zeros(4, np.float32))):
        write_arrays(path, {**arrays, name: wrong}, about=about)
        with pytest.raises(CheckpointError, match=name):
            SuperpixelClassifier.load(path)


def test_bad_input_is_named():
    features, fractions, weights, _ = blobs()
    rng = np.random.default_rng(0)
    new = SuperpixelClassifier(**SMALL)
    with pytest.raises(ShapeError, match="are needed"):
        new.fit(features[:-1], fractions, weights, rng=rng)
    with pytest.raises(ShapeError, match="are needed"):
        new.fit(features, fractions, weights[:-1], rng=rng)
    with pytest.raises(ShapeError, match="void"):
        new.fit(features, fractions, weights * 0, rng=rng)
    with pytest.raises(ShapeError, match="finite"):
        new.fit(features * np.float32("nan"), fractions, weights, rng=rng)
    with pytest.raises(ShapeError, match="no class"):
        new.fit(features[:3], fractions[:3], weights[:3], rng=rng)
    for option in (
        {"hidden": 0},
        {"epochs": 0},
        {"sample": 0},
        {"rate": -1.0},
    ):
        with pytest.raises(ConfigError, match=next(iter(option))):
            SuperpixelClassifier(**option)
    with pytest.raises(ShapeError, match=r"\(S, 4\)"):
        new.fit(features, fractions, weights, rng=rng).log_probabilities(features[:, :3])
