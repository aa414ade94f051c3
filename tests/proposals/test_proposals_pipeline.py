"""From an image to proposals, and the choice of the constants by the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.errors import ConfigError
from tinysegrank.metrics import image_iou
from tinysegrank.proposals import (
    CrfEngine,
    Proposal,
    SuperpixelClassifier,
    choose,
    divmbest,
    label_fractions,
    potts_weights,
    superpixel_features,
    trial,
)
from tinysegrank.superpixels import region_graph, slic


def scene(seed):
    """A green or red disc (classes 1 and 2) before grey noise, with its labels."""
    rng = np.random.default_rng(seed)
    image = rng.integers(105, 135, (60, 80, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:60, :80]
    disc = np.hypot(rows - rng.integers(20, 40), columns - rng.integers(20, 60)) < rng.integers(10, 18)
    which = 1 + seed % 2
    image[disc, which - 1] += 80
    return image, np.where(disc, which, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def classifier():
    parts = []
    for seed in range(12):
        image, labels = scene(seed)
        superpixels = slic(image, segments=60)
        features = superpixel_features(image, superpixels, region_graph(superpixels, image))
        parts.append((features, *label_fractions(labels, superpixels, num_classes=21)))
    stacked = (np.concatenate(part) for part in zip(*parts, strict=True))
    return SuperpixelClassifier(hidden=16, epochs=40).fit(*stacked, rng=np.random.default_rng(0))


def test_finds_the_objects_of_new_scenes(classifier):
    for seed in (20, 21):
        image, labels = scene(seed)
        superpixels = slic(image, segments=60)
        graph = region_graph(superpixels, image)
        unary = -classifier.log_probabilities(superpixel_features(image, superpixels, graph), balance=0.3)
        engine = CrfEngine(unary, graph.edges, potts_weights(graph, strength=5.0), superpixels)
        proposals = divmbest(engine, 0.5, 5)
        assert image_iou(labels, proposals[0].labels) > 0.8
        assert proposals[0].score == max(p.score for p in proposals)


def sets(seed, images=4, count=5, settings=3):
    """Truths with void, and for each setting and image a few random proposals."""
    rng = np.random.default_rng(seed)
    truths = [rng.choice([0, 1, 2, 255], (6, 6)).astype(np.uint8) for _ in range(images)]
    proposals = [
        [
            [Proposal(rng.integers(0, 3, (6, 6)).astype(np.uint8), 0.0, np.zeros(1, int)) for _ in range(count)]
            for _ in truths
        ]
        for _ in range(settings)
    ]
    return truths, proposals


@pytest.mark.parametrize("seed", range(4))
def test_choice_is_by_the_mean_image_iou_of_the_oracle_picks(seed):
    truths, proposals = sets(seed)
    ious = np.empty((3, 4, 5))  # settings, images, proposals
    for s, n, m in np.ndindex(ious.shape):
        ious[s, n, m] = image_iou(truths[n], proposals[s][n][m].labels)
    trials = np.array([[trial(t, of_setting[n]) for of_setting in proposals] for n, t in enumerate(truths)])
    void = [trial(np.full((6, 6), 255, np.uint8), of_setting[0]) for of_setting in proposals]
    assert np.isnan(void).all()
    choice = choose(["a", "b", "c"], np.append(trials, [void], axis=0))
    np.testing.assert_allclose(choice.oracle, ious.max(axis=2).mean(axis=1))
    np.testing.assert_allclose(choice.one_best, ious[:, :, 0].mean(axis=1))
    assert choice.best == "abc"[int(np.argmax(choice.oracle))]


@pytest.mark.slow
def test_lambda_that_reaches_the_truth_is_chosen():
    # Two superpixels; the second proposal is right only if the penalty outweighs the margin of 1.
    superpixels, truth = np.array([[0, 1]]), np.array([[0, 1]], np.uint8)
    unary = np.array([[0.0, 9.0], [0.0, 1.0]])
    engine = CrfEngine(unary, np.zeros((0, 2), int), np.zeros(0), superpixels)
    grid = [0.0, 0.5, 2.0, 20.0]
    choice = choose(grid, np.array([[trial(truth, divmbest(engine, lam, 2)) for lam in grid]]))
    assert choice.best == 2.0
    assert choice.oracle.tolist() == [0.25, 0.25, 1.0, 0.25]
    assert divmbest(engine, 2.0, 2)[1].labels.tolist() == truth.tolist()


@pytest.mark.parametrize("trials", [np.zeros((0, 2, 2)), np.zeros((3, 1, 2)), np.zeros((3, 2))])
def test_choosing_from_too_little_is_refused(trials):
    with pytest.raises(ConfigError, match="every setting on at least one image"):
        choose([1.0, 2.0], trials)
