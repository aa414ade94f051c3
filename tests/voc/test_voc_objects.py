"""Objects of a label map against scikit-image's connected components."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label as components

from tinysegrank.errors import ShapeError
from tinysegrank.voc import find_objects


def test_components_of_each_class():
    rng = np.random.default_rng(0)
    labels = np.kron(rng.choice([0, 3, 7, 255], size=(9, 11), p=[0.5, 0.2, 0.2, 0.1]), np.ones((5, 5), int))
    found = find_objects(labels, least=60)
    expected = []
    for k in (3, 7):
        numbers = components(labels == k, connectivity=2)
        expected += [(k, numbers == n) for n in range(1, numbers.max() + 1) if (numbers == n).sum() >= 60]
    assert len(expected) > 3
    np.testing.assert_array_equal(found.classes, [k for k, _ in expected])
    np.testing.assert_array_equal(found.masks, np.stack([mask for _, mask in expected]))


def test_corners_connect_and_small_ones_do_not_count():
    labels = np.zeros((40, 40), np.uint8)
    labels[:10, :10] = labels[10:20, 10:20] = 5
    labels[30:39, 30:39] = 5  # 81 pixels
    found = find_objects(labels)
    np.testing.assert_array_equal(found.classes, [5])
    assert found.masks[0].sum() == 200


def test_instances_divide_touching_objects():
    labels = np.zeros((20, 20), np.uint8)
    labels[5:15] = 15
    labels[:, 10] = 255
    instances = labels.copy()
    instances[labels == 15] = 1
    instances[5:15, 11:] = 2
    found = find_objects(labels, instances)
    np.testing.assert_array_equal(found.classes, [15, 15])
    assert [mask.sum() for mask in found.masks] == [100, 90]
    assert not found.masks[:, labels == 255].any()


def test_nothing_and_bad_input():
    empty = find_objects(np.full((8, 9), 255))
    assert empty.masks.shape == (0, 8, 9)
    assert empty.classes.shape == (0,)
    with pytest.raises(ShapeError, match="labels"):
        find_objects(np.zeros((3, 3), int), np.zeros((3, 4), int))
