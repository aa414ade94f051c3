"""How well superpixels follow the borders of objects: the package's own SLIC is no worse than scikit-image's.

scikit-image is asked for a few superpixels more, so that it has at least as many.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tinysegrank.superpixels import slic
from tinysegrank.voc import NUM_CLASSES, VOID, VOCSegmentation, make_toy_voc


def borders(labels):
    """Pixels that differ from the one to their right or below."""
    found = np.zeros(labels.shape, bool)
    found[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    found[:-1] |= labels[:-1] != labels[1:]
    return found


def boundary_recall(superpixels, truth):
    """Share of the truth's border within 2 pixels of a superpixel's; void belongs to the class nearest to it."""
    nearest = ndimage.distance_transform_edt(truth == VOID, return_distances=False, return_indices=True)
    border = borders(truth[tuple(nearest)])
    return ndimage.maximum_filter(borders(superpixels), size=5)[border].mean()


def undersegmentation_error(superpixels, truth):
    """Of each class and superpixel that meet, the smaller of what is inside and outside the class; void left out.

    Source: Neubert and Protzel, "Superpixel benchmark and comparison", Forum Bildverarbeitung 2012.
    """
    known = truth != VOID
    joint = superpixels[known] * NUM_CLASSES + truth[known]
    inside = np.bincount(joint, minlength=(superpixels.max() + 1) * NUM_CLASSES).reshape(-1, NUM_CLASSES)
    outside = inside.sum(axis=1, keepdims=True) - inside
    return np.minimum(inside, outside).sum() / known.sum()


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
