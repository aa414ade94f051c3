"""What the superpixel classifier sees: which columns for which features, and tables that repeat nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals import (
    InputTable,
    MapFeatures,
    SuperpixelClassifier,
    classifier_inputs,
    map_features,
    superpixel_features,
)
from tinysegrank.superpixels import region_graph, slic


@pytest.fixture
def scene(rng):
    image = rng.integers(0, 256, (30, 44, 3), dtype=np.uint8)
    superpixels = slic(image, segments=20)
    maps = [rng.random((4, 5, 5)), rng.random((3, 2, 2))]
    return image, superpixels, region_graph(superpixels, image), maps


def test_map_features_are_means_in_half_precision(scene):
    _, superpixels, _, maps = scene
    constant = [np.full((4, 5, 5), 3.0), np.full((2, 9, 9), 0.25)]
    found = map_features(constant, superpixels)
    assert found.superpixels.dtype == found.image.dtype == np.float16
    np.testing.assert_allclose(
        found.superpixels, np.tile([3, 3, 3, 3, 0.25, 0.25], (superpixels.max() + 1, 1)), rtol=1e-3
    )
    np.testing.assert_allclose(found.image, [3, 3, 3, 3, 0.25, 0.25])
    np.testing.assert_allclose(map_features(maps, superpixels).image[4:], maps[1].mean(axis=(1, 2)), rtol=1e-3)


def test_columns_of_each_kind(scene):
    image, superpixels, graph, maps = scene
    of_maps = map_features(maps, superpixels)
    hand = superpixel_features(image, superpixels, graph)
    rows, columns = np.indices(superpixels.shape)
    number = 7
    centre = [(rows[superpixels == number].mean() + 0.5) / 30, (columns[superpixels == number].mean() + 0.5) / 44]
    for features, parts in (
        ("hand", [hand[number]]),
        ("trunk", [of_maps.superpixels[number], centre, of_maps.image]),
        ("both", [of_maps.superpixels[number], centre, hand[number], of_maps.image]),
    ):
        found = classifier_inputs(image, superpixels, graph, features=features, maps=of_maps).columns
        assert (found.dtype, len(found)) == (np.float32, superpixels.max() + 1)
        np.testing.assert_allclose(found[number], np.concatenate(parts), rtol=1e-5)


def test_what_is_missing_is_named(scene):
    image, superpixels, graph, maps = scene
    with pytest.raises(ConfigError, match="choose one of hand, trunk, both"):
        classifier_inputs(image, superpixels, graph, features="deep")
    with pytest.raises(ConfigError, match="give maps"):
        classifier_inputs(image, superpixels, graph, features="both")
    few = MapFeatures(*map_features(maps, superpixels))
    with pytest.raises(ShapeError, match="maps: 3 rows"):
        classifier_inputs(
            image, superpixels, graph, features="trunk", maps=few._replace(superpixels=few.superpixels[:3])
        )


def test_a_table_is_as_good_as_the_array_of_its_rows(rng):
    own, shared = rng.normal(size=(40, 3)).astype(np.float16), rng.normal(size=(4, 2)).astype(np.float32)
    images = np.repeat(np.arange(4), 10)
    whole = np.concatenate([own.astype(np.float32), shared[images]], axis=1)
    table = InputTable(own, shared, images)
    assert (table.shape, len(table)) == (whole.shape, 40)
    rows = np.array([39, 0, 11, 11])
    np.testing.assert_array_equal(table[rows], whole[rows])
    truth = np.eye(2)[(whole[:, 0] > 0).astype(int)], np.ones(40)
    one, other = (
        SuperpixelClassifier(hidden=4, epochs=2).fit(features, *truth, rng=np.random.default_rng(0))
        for features in (table, whole)
    )
    np.testing.assert_array_equal(one.log_probabilities(whole), other.log_probabilities(whole))
    for wrong in ((own[0], shared, images), (own, shared[0], images), (own, shared, images[1:])):
        with pytest.raises(ShapeError, match="are needed"):
            InputTable(*wrong)
