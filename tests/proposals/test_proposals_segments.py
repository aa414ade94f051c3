"""Segments as sets of superpixels against the same segments as masks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.proposals.overlaps import mask_overlaps
from tinysegrank.errors import ShapeError
from tinysegrank.proposals import Segments, segment_overlaps

RNG = np.random.default_rng(0)


def random_segments(superpixels: int = 12, count: int = 7) -> Segments:
    numbers = RNG.permutation(np.concatenate([np.arange(superpixels), RNG.integers(0, superpixels, 20 * 30 - 12)]))
    members = RNG.random((count, superpixels)) < 0.4
    members[:, 0] |= ~members.any(axis=1)
    return Segments(numbers.reshape(20, 30), members, RNG.random(count))


def masks_of(segments: Segments) -> np.ndarray:
    return np.stack([segments.mask(i) for i in range(len(segments))])


def test_overlaps_equal_those_of_masks():
    segments = random_segments()
    masks, known = masks_of(segments), RNG.random((20, 30)) < 0.7
    objects = RNG.random((3, 20, 30)) < 0.3
    own = segment_overlaps(segments.members, segments.superpixel_areas())
    np.testing.assert_allclose(own, mask_overlaps(masks, masks), rtol=1e-12)
    np.testing.assert_allclose(segments.overlaps_with(objects), mask_overlaps(masks, objects), rtol=1e-12)
    np.testing.assert_allclose(
        segments.overlaps_with(objects, known=known), mask_overlaps(masks, objects, valid=known), rtol=1e-12
    )


def test_none_of_either():
    segments = random_segments()
    assert segments.overlaps_with(np.zeros((0, 20, 30), bool)).shape == (7, 0)
    none = segments.take(np.array([], int))
    assert len(none) == 0
    assert none.overlaps_with(np.ones((2, 20, 30), bool)).shape == (0, 2)
    known = np.zeros((20, 30), bool)
    np.testing.assert_array_equal(segments.overlaps_with(np.ones((2, 20, 30), bool), known=known), 0)


def test_take_keeps_members_and_scores_together():
    segments = random_segments()
    order = np.array([3, 1])
    taken = segments.take(order)
    np.testing.assert_array_equal(taken.mask(0), segments.mask(3))
    np.testing.assert_array_equal(taken.scores, segments.scores[order])


def test_mirrored_masks_are_the_masks_mirrored():
    segments = random_segments()
    np.testing.assert_array_equal(masks_of(segments.mirrored()), masks_of(segments)[:, :, ::-1])
    np.testing.assert_array_equal(segments.mirrored().scores, segments.scores)


def test_bad_input_is_named():
    segments = random_segments()
    with pytest.raises(ShapeError, match="members"):
        Segments(segments.superpixels, segments.members[:, 1:], segments.scores)
    with pytest.raises(ShapeError, match="at least one superpixel"):
        Segments(segments.superpixels, np.zeros_like(segments.members), segments.scores)
    with pytest.raises(ShapeError, match="do not fit an image"):
        segments.overlaps_with(np.ones((1, 3, 3), bool))


@pytest.mark.parametrize("largest", [2**24 - 3, 2**24, 2**40])  # 32 bits hold whole numbers up to 2^24
def test_overlaps_are_of_whole_numbers_of_pixels(largest):
    areas, members = np.array([largest, 1, 1]), np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]], bool)
    overlaps = segment_overlaps(members, areas)
    for a, b in np.ndindex(overlaps.shape):
        shared, either = (sum(map(int, areas[side])) for side in (members[a] & members[b], members[a] | members[b]))
        assert overlaps[a, b] == shared / either
