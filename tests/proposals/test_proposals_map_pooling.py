"""Descriptions of segments from the trunk's maps, against sums over single pixels."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals import MapMeans, MapReduction, Segments
from tinysegrank.proposals.o2p.map_means import GROUND_WEIGHT, mean_maps, shared_pixels, unit_roots
from tinysegrank.proposals.o2p.second_order.maps import CELL, describe_by_maps, map_columns, second_order_maps
from tinysegrank.proposals.o2p.second_order.pooling import bounding_boxes

CHANNELS = (4, 3)
SHAPE = (12, 17)


@pytest.fixture
def scene(rng):
    """Segments of blocks of 3 x 3 pixels, superpixels of 4 x 5 that cut across them, and their means."""
    rows, columns = np.indices(SHAPE)
    own = np.unique(rows // 3 * 100 + columns // 3, return_inverse=True)[1].reshape(SHAPE)
    superpixels = np.unique(rows // 4 * 100 + columns // 5, return_inverse=True)[1].reshape(SHAPE)
    members = rng.random((5, own.max() + 1)) < 0.3
    members[0] = True  # the whole image has no ground
    members[1:, 0] = True
    means = rng.gamma(0.5, size=(superpixels.max() + 1, sum(CHANNELS)))
    return Segments(own, members, np.zeros(5)), superpixels, means


def roots_of(mean):
    parts = np.split(np.sqrt(mean), np.cumsum(CHANNELS)[:-1])
    return np.concatenate([part / max(np.linalg.norm(part), 1e-12) for part in parts])


def test_shared_pixels_are_those_counted(scene):
    segments, superpixels, _ = scene
    shared = shared_pixels(segments, superpixels)
    for r in range(len(segments)):
        np.testing.assert_array_equal(shared[r], np.bincount(superpixels[segments.mask(r)], minlength=len(shared[r])))
    with pytest.raises(ShapeError, match="do not fit"):
        shared_pixels(segments, superpixels[1:])


def test_means_are_those_over_the_pixels_of_figure_and_ground(scene):
    segments, superpixels, means = scene
    found = mean_maps(means, np.bincount(superpixels.ravel()), shared_pixels(segments, superpixels), CHANNELS)
    assert (found.dtype, found.shape) == (np.float32, (5, 14))
    of_pixels = means[superpixels]  # (H, W, C)
    for r in range(len(segments)):
        mask = segments.mask(r)
        np.testing.assert_allclose(found[r, :7], roots_of(of_pixels[mask].mean(axis=0)), rtol=1e-5)
        ground = GROUND_WEIGHT * roots_of(of_pixels[~mask].mean(axis=0)) if r else np.zeros(7)
        np.testing.assert_allclose(found[r, 7:], ground, rtol=1e-5)


def test_the_ranker_sees_means_of_components_over_figure_and_ground(scene):
    segments, superpixels, means = scene
    reduction = MapReduction.fit([means], CHANNELS, size=3)
    columns = map_columns(reduction, MapMeans(superpixels, means, CHANNELS))
    found = columns(segments)
    assert found.shape == (5, 6)
    of_pixels = reduction.apply(means, CHANNELS)[superpixels]  # (H, W, 3)
    for r in range(len(segments)):
        mask = segments.mask(r)
        ground = of_pixels[~mask].mean(axis=0) if r else np.zeros(3)
        np.testing.assert_allclose(found[r], [*of_pixels[mask].mean(axis=0), *ground], rtol=1e-4, atol=1e-6)


def test_a_layer_without_any_response_stays_zero():
    found = unit_roots(np.array([[0, 0, 0, 0, 9, 16, 0]]), CHANNELS)
    np.testing.assert_allclose(found, [[0, 0, 0, 0, 0.6, 0.8, 0]])


def test_second_order_pooling_is_over_the_pixels_of_figure_and_ground(scene, rng):
    segments, superpixels, _ = scene
    local = rng.normal(size=(superpixels.max() + 1, 2)).astype(np.float32)
    boxes = bounding_boxes(segments.members, segments.superpixels)
    found = second_order_maps(local, superpixels, shared_pixels(segments, superpixels), boxes)
    triangle = np.triu_indices(8)
    assert (found.dtype, found.shape) == (np.float32, (5, 2 * len(triangle[0])))
    rows, columns = np.indices(SHAPE)
    for r in (0, 3):
        mask = segments.mask(r)
        box = columns[mask].min(), rows[mask].min(), np.ptp(columns[mask]) + 1, np.ptp(rows[mask]) + 1
        blocks = []
        for where, (x0, y0, w, h), size in ((mask, box, 8), (~mask, (0, 0, 17, 12), 24)):
            total = np.zeros((8, 8))
            for number in superpixels[where]:
                inside = superpixels == number
                x, y = columns[inside].mean(), rows[inside].mean()
                s = size * CELL
                place = [(x - x0) / w, (y - y0) / h, (x - x0) / h, (y - y0) / w, s / h, s / w]
                total += np.outer(d := np.concatenate([local[number], place]), d)
            log = scipy.linalg.logm(total / where.sum() + 1e-3 * np.eye(8))[triangle] if where.any() else np.zeros(36)
            blocks.append(log / max(np.linalg.norm(log), 1e-12) / np.sqrt(2))
        expected = np.concatenate(blocks)
        np.testing.assert_allclose(found[r], np.sign(expected) * np.abs(expected) ** 0.75, atol=1e-4)


def test_the_reduction_keeps_the_directions_that_vary_most(rng):
    images = [rng.gamma(0.5, size=(count, 7)) for count in (9, 30)]
    reduction = MapReduction.fit(iter(images), CHANNELS, size=3)
    roots = np.array([roots_of(mean) for mean in np.concatenate(images)])
    _, _, directions = np.linalg.svd(roots - roots.mean(axis=0))
    np.testing.assert_allclose(np.abs(np.sum(reduction.directions * directions[:3].T, axis=0)), 1, atol=1e-5)
    expected = (roots[:9] - roots.mean(axis=0)) @ reduction.directions
    np.testing.assert_allclose(reduction.apply(images[0], CHANNELS), expected, atol=1e-5)


def test_segments_are_described_in_two_ways(scene):
    segments, superpixels, means = scene
    maps, reduction = MapMeans(superpixels, means, CHANNELS), MapReduction.fit([means], CHANNELS, size=3)
    shared, boxes = shared_pixels(segments, superpixels), bounding_boxes(segments.members, segments.superpixels)
    pooled, by_means = describe_by_maps(segments, maps, reduction)
    expected = second_order_maps(reduction.apply(means, CHANNELS), superpixels, shared, boxes)
    np.testing.assert_array_equal(pooled, expected)
    np.testing.assert_array_equal(by_means, mean_maps(means, np.bincount(superpixels.ravel()), shared, CHANNELS))
    of_none = describe_by_maps(segments.take(np.zeros(0, int)), maps, reduction)
    assert [len(rows) for rows in of_none] == [0, 0]


def test_what_does_not_fit_is_named(scene):
    segments, superpixels, means = scene
    reduction = MapReduction.fit([means], CHANNELS, size=3)
    with pytest.raises(ShapeError, match="do not fit"):
        describe_by_maps(segments, MapMeans(superpixels, means[1:], CHANNELS), reduction)
    with pytest.raises(ShapeError, match=r"means must be \(S, 7\)"):
        describe_by_maps(segments, MapMeans(superpixels, means[:, 1:], CHANNELS), reduction)
    with pytest.raises(ShapeError, match=r"channels \[4, 3\]"):
        unit_roots(means[:, 1:], CHANNELS)
    with pytest.raises(ConfigError, match="at least one"):
        MapReduction.fit([], CHANNELS)
