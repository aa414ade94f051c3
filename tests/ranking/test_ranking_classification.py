"""Image descriptors, image classifiers, and block 2 of the features, against their definitions."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.optimize import minimize

from tests.segnet.segnet_toys import blob, layer
from tinysegrank.errors import CheckpointError, DatasetError, ShapeError, WeightsError
from tinysegrank.files import write_arrays
from tinysegrank.ranking import ImageClassifier, class_shares, image_descriptors, load_fully_connected
from tinysegrank.ranking.features.classification import classification_feature_names, classification_features
from tinysegrank.ranking.image_classifier import size_thresholds
from tinysegrank.voc import CLASS_NAMES

# Descriptors ---------------------------------------------------------------------------------------------------------


def write_layers(path, **layers):
    """A .caffemodel in the old dialect."""
    content = [layer(name, [blob(array) for array in arrays], old=True) for name, arrays in layers.items()]
    path.write_bytes(b"".join(content))
    return path


def fully_connected_layers(rng, channels=2, filters=5):
    fc6 = [rng.normal(size=(1, 1, filters, 36 * channels)), rng.normal(size=filters)]
    fc7 = [rng.normal(size=(filters, filters)), rng.normal(size=filters)]
    return {"fc6": fc6, "fc7": fc7}


def test_fc7_by_loops(tmp_path, rng):
    layers = fully_connected_layers(rng)
    network = load_fully_connected(write_layers(tmp_path / "net.caffemodel", conv5=[np.ones((1, 1))], **layers))
    features = np.maximum(rng.normal(size=(3, 2, 13, 13)), 0).astype(np.float16)
    pooled = np.zeros((3, 2, 6, 6))
    for r in range(6):
        for c in range(6):
            pooled[:, :, r, c] = features[:, :, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3].max(axis=(2, 3))
    for n in range(3):
        six = np.maximum(layers["fc6"][0][0, 0] @ pooled[n].ravel() + layers["fc6"][1], 0)
        seven = np.maximum(layers["fc7"][0] @ six + layers["fc7"][1], 0)
        expected = seven / np.sqrt((seven**2).sum())
        np.testing.assert_allclose(image_descriptors(features, network)[n], expected, rtol=1e-4, atol=1e-6)


def test_without_fully_connected_layers_the_mean_of_conv5(tmp_path, rng):
    assert load_fully_connected(write_layers(tmp_path / "trunk.caffemodel", conv5=[np.ones((2, 2))])) is None
    features = np.maximum(rng.normal(size=(130, 4, 13, 13)), 0).astype(np.float32)
    features[7] = 0
    described = image_descriptors(features)
    assert described.shape == (130, 4) and described.dtype == np.float32
    assert not described[7].any()
    for n in (0, 64, 129):
        mean = np.array([features[n, c].sum() for c in range(4)])
        np.testing.assert_allclose(described[n], mean / np.linalg.norm(mean), rtol=1e-5)


def test_files_and_features_that_do_not_fit(tmp_path, rng):
    layers = fully_connected_layers(rng)
    with pytest.raises(WeightsError, match=r"has only fc6\.weight, fc6\.bias of fc6 and fc7"):
        load_fully_connected(write_layers(tmp_path / "half.caffemodel", fc6=layers["fc6"]))
    with pytest.raises(WeightsError, match="do not fit"):
        other = [np.ones((5, 4)), np.ones(5)]
        load_fully_connected(write_layers(tmp_path / "odd.caffemodel", fc6=layers["fc6"], fc7=other))
    with pytest.raises(WeightsError, match="absent"):
        load_fully_connected(tmp_path / "absent.caffemodel")
    network = load_fully_connected(write_layers(tmp_path / "net.caffemodel", **layers))
    with pytest.raises(ShapeError, match="fc6 takes 72"):
        image_descriptors(np.ones((1, 3, 13, 13), np.float32), network)
    for features in (np.ones((0, 3, 13, 13)), np.ones((3, 13, 13))):
        with pytest.raises(ShapeError, match="features"):
            image_descriptors(features)


# Classifiers ---------------------------------------------------------------------------------------------------------


def images(seed=0, count=90, classes=3, length=8):
    """Descriptors that tell, noisily, which classes are there."""
    rng = np.random.default_rng(seed)
    shares = np.where(rng.random((count, classes)) < 0.4, rng.uniform(0.01, 1 / classes, (count, classes)), 0)
    values = shares @ rng.normal(size=(classes, length)) * 5 + rng.normal(0, 0.5, (count, length))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32), shares


def test_thresholds_are_shares_of_images_that_contain_the_class():
    shares = np.zeros((13, 3))
    shares[3:, 0] = np.arange(10, 0, -1) / 100  # ten images contain the first class
    shares[5, 1] = 0.25
    thresholds = size_thresholds(shares)
    np.testing.assert_array_equal(thresholds[0], [0.02, 0.04, 0.06, 0.08])  # of the 2nd, 4th, 6th and 8th
    np.testing.assert_array_equal(thresholds[1], 0.25)
    np.testing.assert_array_equal(thresholds[2], np.inf)


def test_each_svm_lowers_its_own_objective():
    X, shares = images()
    C = 0.7
    fitted = ImageClassifier.fit(X, shares, C=C)
    scores = fitted.scores(X)
    assert fitted.weights.any(axis=1).all() and scores.shape == (90, 15) and scores.dtype == np.float32
    thresholds = size_thresholds(shares)
    for number in range(15):
        c, j = (number, None) if number < 3 else divmod(number - 3, 4)
        labels = shares[:, c] > 0 if j is None else shares[:, c] >= thresholds[c, j]
        signs = np.where(labels, 1.0, -1.0)

        def objective(v, signs=signs):  # the intercept is penalised too, as liblinear does
            hinge = np.maximum(0, 1 - signs * (X.astype(np.float64) @ v[:-1] + v[-1]))
            return 0.5 * v @ v + C * (hinge**2).sum()

        best = minimize(objective, np.zeros(9), method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9})
        found = np.append(fitted.weights[number], fitted.intercepts[number])
        np.testing.assert_allclose(found, best.x, atol=3e-3)
        np.testing.assert_allclose(scores[:, number], X @ best.x[:-1] + best.x[-1], atol=5e-3)


def test_classes_that_are_too_rare_or_too_common_have_a_constant_score(caplog):
    X, shares = images(classes=4)
    shares[:, 0] = 0  # nowhere
    shares[:, 1] = np.where(np.arange(90) < 4, 0.2, 0)  # in four images
    shares[:, 2] = np.where(np.arange(90) < 86, 0.1 + np.arange(90) / 1000, 0)  # in all but four
    with caplog.at_level(logging.INFO, "tinysegrank"):
        fitted = ImageClassifier.fit(X, shares)
    assert fitted.weights.any(axis=1).tolist() == [False] * 3 + [True] + [False] * 8 + [True] * 8
    scores = fitted.scores(X[:5])
    np.testing.assert_array_equal(scores[:, [0, 1, 2]], np.tile([-1, -1, 1], (5, 1)))
    np.testing.assert_array_equal(scores[:, 4:12], -1)
    lines = [record.getMessage() for record in caplog.records]
    assert "class 2: 4 images of 90, not learnt" in lines and "class 3: 86 images of 90, not learnt" in lines
    assert len(lines) == 3 + 8
    assert fitted.thresholds[0].tolist() == [np.inf] * 4


def test_five_images_are_enough():
    X, shares = images(classes=1)
    shares[:, 0] = np.where(np.arange(90) < 5, 0.2, 0)
    assert ImageClassifier.fit(X, shares).weights.any(axis=1).all()


def test_fitting_again_gives_the_same_and_inputs_are_not_changed():
    X, shares = images()
    X.flags.writeable = shares.flags.writeable = False
    one, two = (ImageClassifier.fit(X, shares) for _ in range(2))
    np.testing.assert_array_equal(one.weights, two.weights)


def test_saved_and_loaded(tmp_path):
    X, shares = images(classes=2)
    shares[:, 1] = 0
    fitted = ImageClassifier.fit(X, shares, C=0.3)
    fitted.save(tmp_path / "classifiers.safetensors")
    read = ImageClassifier.load(tmp_path / "classifiers.safetensors")
    for name in ("weights", "intercepts", "thresholds"):
        np.testing.assert_array_equal(getattr(read, name), getattr(fitted, name))
        assert getattr(read, name).dtype == getattr(fitted, name).dtype
    np.testing.assert_array_equal(read.scores(X), fitted.scores(X))


def test_damaged_files(tmp_path):
    path = tmp_path / "classifiers.safetensors"
    with pytest.raises(CheckpointError, match="classifiers"):
        ImageClassifier.load(path)
    write_arrays(path, {"weights": np.zeros((5, 2))})
    with pytest.raises(CheckpointError, match="does not hold"):
        ImageClassifier.load(path)
    about = {"format": "tinysegrank image classifier 1"}
    arrays = {"weights": np.zeros((5, 2)), "intercepts": np.zeros(5), "thresholds": np.zeros((1, 4))}
    for wrong, fault in (
        ({"weights": arrays["weights"]}, "'intercepts' is missing"),
        ({**arrays, "intercepts": np.zeros(4)}, "does not fit"),
        ({**arrays, "thresholds": np.zeros((2, 4))}, "5 rows of weights do not fit 2 classes"),
    ):
        write_arrays(path, wrong, about=about)
        with pytest.raises(CheckpointError, match=fault):
            ImageClassifier.load(path)


def test_bad_input_of_classifiers():
    X, shares = images()
    for descriptors, given in ((X[:3], shares), (X[0], shares), (X, shares[:, 0]), (X[:0], shares[:0])):
        with pytest.raises(ShapeError, match="descriptors, shares"):
            ImageClassifier.fit(descriptors, given)
    for descriptors, given in ((X * np.nan, shares), (X, shares + 1), (X, -shares), (X, shares * np.nan)):
        with pytest.raises(ShapeError, match="finite"):
            ImageClassifier.fit(descriptors, given)
    with pytest.raises(ShapeError, match=r"\(N, 8\)"):
        ImageClassifier.fit(X, shares).scores(X[:, :3])


# Features ------------------------------------------------------------------------------------------------------------


def test_shares_leave_void_out():
    labels = np.array([[[0, 1, 1], [255, 2, 255]], [[255] * 3] * 2, [[0] * 3] * 2])
    np.testing.assert_allclose(class_shares(labels, num_classes=3), [[0.5, 0.25], [0, 0], [0, 0]])
    assert class_shares(np.zeros((0, 4, 4), int)).shape == (0, 20)
    with pytest.raises(ShapeError, match="labels"):
        class_shares(labels[0])
    with pytest.raises(DatasetError, match="not a class"):
        class_shares(labels, num_classes=2)


def test_gated_features_by_loops(rng):
    labels = rng.integers(0, 21, (4, 3, 7))
    labels[0] = 0
    labels[1] = 15
    scores, thresholds = rng.normal(size=100), np.sort(rng.uniform(0, 0.2, (20, 4)), axis=1)
    thresholds[3] = np.inf
    thresholds[14, 3] = 1.0  # reached by a map of nothing but persons
    features = classification_features(scores, thresholds, class_shares(labels))
    assert features.shape == (4, 100) and features.dtype == np.float32
    column = dict(zip(classification_feature_names(), features.T, strict=True))
    for m in range(4):
        for c, name in enumerate(CLASS_NAMES[1:]):
            share = np.count_nonzero(labels[m] == c + 1) / 21
            assert column[f"class_score_{name}"][m] == np.float32(scores[c] if share > 0 else 0)
            for j, percent in enumerate((20, 40, 60, 80)):
                sign = 1 if share >= thresholds[c, j] else -1
                assert column[f"size_{percent}_score_{name}"][m] == np.float32(scores[20 + 4 * c + j] * sign)
    assert column["size_80_score_person"][1] == np.float32(scores[20 + 4 * 14 + 3])


def test_names_of_any_number_of_classes():
    assert len(set(classification_feature_names())) == len(classification_feature_names()) == 100
    names = classification_feature_names(["ground", "sky", "sea"])
    assert names[:4] == ("class_score_sky", "class_score_sea", "size_20_score_sky", "size_40_score_sky")
    assert names[-1] == "size_80_score_sea" and len(names) == 10


def test_features_that_do_not_fit():
    good = (np.zeros(10), np.zeros((2, 4)), np.zeros((3, 2)))
    assert classification_features(*good).shape == (3, 10)
    for place, wrong in ((0, np.zeros(9)), (1, np.zeros((2, 3))), (2, np.zeros((3, 1))), (2, np.zeros(2))):
        with pytest.raises(ShapeError, match="scores"):
            classification_features(*(wrong if i == place else one for i, one in enumerate(good)))
    with pytest.raises(ShapeError, match="finite"):
        classification_features(np.full(10, np.nan), *good[1:])


def test_layers_that_hold_nothing_or_nan_are_refused(tmp_path, rng):
    for name, value, fault in (("fc7", np.nan, "fc7.weight holds NaN or infinity"), ("fc6", 0, "fc6.weight is 0")):
        layers = fully_connected_layers(rng)
        layers[name][0][...] = value
        with pytest.raises(WeightsError, match=f"net.caffemodel: {fault}"):
            load_fully_connected(write_layers(tmp_path / "net.caffemodel", **layers))
