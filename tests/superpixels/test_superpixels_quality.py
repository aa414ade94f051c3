"""How well superpixels follow the borders of objects: the package's own SLIC is no worse than scikit-image's.

scikit-image is asked for a few superpixels more, so that it has at least as many.
"""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.errors import ShapeError
from tinysegrank.superpixels import best_labels, boundary_recall, slic, undersegmentation_error
from tinysegrank.voc import VOID, VOCSegmentation, make_toy_voc


def judge(images, **options):
    """Mean boundary recall, undersegmentation error and number of superpixels."""
    scores = []
    for image, truth in images:
        superpixels = slic(image, **options)
        recall, error = boundary_recall(superpixels, truth), undersegmentation_error(superpixels, truth)
        scores.append((recall, error, superpixels.max() + 1))
    return np.mean(scores, axis=0)


def assert_no_worse(images, own, others):
    recall, error, count = judge(images, segments=own, method="integer")
    their_recall, their_error, their_count = judge(images, segments=others, method="scikit-image")
    assert count <= their_count
    assert recall >= their_recall
    assert error <= their_error


def test_measures_on_a_drawing():
    truth = np.zeros((20, 30), np.uint8)
    truth[:, 12:] = 1
    truth[:, 11:13] = VOID
    at_12, at_15 = (np.arange(30) >= edge for edge in (12, 15))
    assert boundary_recall(np.tile(at_12, (20, 1)).astype(int), truth) == 1
    assert boundary_recall(np.tile(at_15, (20, 1)).astype(int), truth) == 0
    assert undersegmentation_error(np.tile(at_12, (20, 1)).astype(int), truth) == 0
    assert undersegmentation_error(np.tile(at_15, (20, 1)).astype(int), truth) == pytest.approx(2 * 2 / 28)


def test_void_counts_as_the_class_nearest_to_it():
    truth = np.zeros((9, 9), np.uint8)
    truth[:, 4:] = VOID
    truth[:, 8] = 3
    superpixels = np.tile(np.arange(9) >= 6, (9, 1)).astype(int)
    assert boundary_recall(superpixels, truth, tolerance=0) == 1
    assert undersegmentation_error(superpixels, truth) == 0
    np.testing.assert_array_equal(best_labels(superpixels, truth), np.where(superpixels, 3, 0))


def test_the_best_labels_are_those_of_brute_force():
    rng = np.random.default_rng(0)
    superpixels, truth = rng.integers(0, 4, (6, 5)), rng.integers(0, 3, (6, 5)).astype(np.uint8)
    right = [max(((superpixels == s) & (truth == k)).sum() for k in range(3)) for s in range(4)]
    assert (best_labels(superpixels, truth) == truth).sum() == sum(right)


def test_without_a_border_there_is_no_recall():
    flat = np.zeros((5, 6), np.uint8)
    assert np.isnan(boundary_recall(flat.astype(int), flat))
    assert undersegmentation_error(flat.astype(int), flat) == 0


def test_two_shapes():
    for measure in (boundary_recall, undersegmentation_error, best_labels):
        with pytest.raises(ShapeError, match=r"\(4, 5\) and truth \(5, 4\)"):
            measure(np.zeros((4, 5), int), np.zeros((5, 4), np.uint8))


def test_no_worse_than_scikit_image_on_drawn_scenes(tmp_path):
    scenes, _ = make_toy_voc(tmp_path, train=8, val=1, seed=0)
    rng = np.random.default_rng(0)
    images = []
    for number in range(len(scenes)):
        image = scenes.image(number)
        noisy = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
        images.append((noisy, scenes.labels(number)))
    assert_no_worse(images, own=100, others=105)


@pytest.mark.voc
def test_no_worse_than_scikit_image_on_photographs(voc_root):
    val = VOCSegmentation(voc_root, "val")
    numbers = np.linspace(0, len(val) - 1, 24).astype(int)
    images = [(val.image(number), val.labels(number)) for number in numbers]
    assert_no_worse(images, own=300, others=310)
