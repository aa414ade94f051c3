"""Superpixel features against their definitions, superpixel by superpixel."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.feature import local_binary_pattern

from tinysegrank.errors import ShapeError
from tinysegrank.proposals import FEATURE_NAMES, superpixel_features
from tinysegrank.proposals.crf.features import APPEARANCE, PALETTE, SPREAD
from tinysegrank.superpixels import region_graph, slic


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (36, 48, 3), dtype=np.uint8)
    image[:, :20] = image[:, :20] // 6 + np.array([120, 20, 30], np.uint8)  # a reddish, smoother half
    superpixels = slic(image, segments=20)
    graph = region_graph(superpixels, image)
    return image, superpixels, graph, superpixel_features(image, superpixels, graph)


def columns(features, *names):
    return features[:, [FEATURE_NAMES.index(name) for name in names]]


def test_one_named_finite_column_each(scene):
    _, superpixels, _, features = scene
    assert features.shape == (superpixels.max() + 1, len(FEATURE_NAMES))
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_colour(scene):
    image, superpixels, _, features = scene
    lab = rgb2lab(image / 255.0)
    for s in range(superpixels.max() + 1):
        inside = superpixels == s
        np.testing.assert_allclose(
            columns(features, *(f"mean_{c}" for c in "Lab"))[s], lab[inside].mean(0) / 100, 1e-3, 1e-4
        )
        np.testing.assert_allclose(
            columns(features, *(f"std_{c}" for c in "Lab"))[s], lab[inside].std(0) / 100, 1e-3, 1e-4
        )
        np.testing.assert_allclose(
            columns(features, *(f"mean_{c}" for c in "RGB"))[s], image[inside].mean(0) / 255, 1e-4
        )
        np.testing.assert_allclose(
            columns(features, *(f"std_{c}" for c in "RGB"))[s], image[inside].std(0) / 255, 1e-3, 1e-4
        )
        bins, _ = np.histogramdd(image[inside], [np.linspace(0, 256, PALETTE + 1)] * 3)
        expected = np.sqrt(bins.ravel() / inside.sum())
        np.testing.assert_allclose(columns(features, *(f"palette_{k}" for k in range(PALETTE**3)))[s], expected, 1e-5)


def test_hue_bins_sum_to_one_and_tell_red_from_blue():
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, :10, 0] = image[:, 10:, 2] = 200
    superpixels = np.repeat([[0] * 10 + [1] * 10], 10, axis=0)
    hue = columns(
        superpixel_features(image, superpixels, region_graph(superpixels, image)), *(f"hue_{k}" for k in range(8))
    )
    assert hue.sum(axis=1).tolist() == pytest.approx([1, 1])
    assert hue.argmax(axis=1).tolist() == [0, 6]  # red at 40 degrees of the a, b plane, blue at 306


def test_patterns_are_uniform_local_binary_patterns():
    # skimage compares with >= and leaves the border to its own rule: distinct levels, inner pixels only.
    rng = np.random.default_rng(1)
    grey = rng.permutation(np.arange(256, dtype=np.uint8)).reshape(16, 16)
    image = np.repeat(grey[:, :, None], 3, axis=2)
    superpixels = np.ones((16, 16), int)
    superpixels[1:-1, 1:-1] = 0
    features = superpixel_features(image, superpixels, region_graph(superpixels, image))
    expected = _patterns(grey)[1:-1, 1:-1]
    np.testing.assert_allclose(
        columns(features, *(f"pattern_fine_{k}" for k in range(10)))[0],
        np.bincount(expected.ravel(), minlength=10) / 14**2,
        1e-5,
    )


def _patterns(grey):
    """The square ring that the features use, by skimage's own code for the circle: move the diagonals onto it."""
    result = np.zeros(grey.shape, int)
    for r in range(1, grey.shape[0] - 1):
        for c in range(1, grey.shape[1] - 1):
            window = grey[r - 1 : r + 2, c - 1 : c + 2].astype(float)
            ring = [window[i] > window[1, 1] for i in [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]]
            changes = sum(ring[i] != ring[i - 1] for i in range(8))
            result[r, c] = sum(ring) if changes <= 2 else 9
    return result


def test_pattern_loop_agrees_with_skimage_on_its_circle_of_radius_one():
    # On a checkerless ramp the circle's interpolated corners and the square's corners have the same sign.
    rows, cols = np.mgrid[:12, :12]
    grey = (7 * rows + 3 * cols).astype(np.uint8)
    ours, theirs = _patterns(grey), local_binary_pattern(grey, 8, 1, method="uniform")
    np.testing.assert_array_equal(ours[1:-1, 1:-1], theirs[1:-1, 1:-1])


def test_orientation_of_stripes():
    stripes = np.zeros((24, 48, 3), np.uint8)
    stripes[::4, :24] = stripes[1::4, :24] = 200  # left half: rows, so the gradient points down
    stripes[:, 24::4] = stripes[:, 25::4] = 200  # right half: columns, so it points right
    superpixels = np.repeat([[0] * 24 + [1] * 24], 24, axis=0)
    features = superpixel_features(stripes, superpixels, region_graph(superpixels, stripes))
    turn = columns(features, *(f"orientation_fine_{k}" for k in range(8)))
    assert turn.argmax(axis=1).tolist() == [4, 0]
    assert (columns(features, "mean_gradient_fine") > 0.1).all()


def test_position(scene):
    _, superpixels, _, features = scene
    size = np.array(superpixels.shape)
    for s in range(superpixels.max() + 1):
        where = np.argwhere(superpixels == s)
        centre = (where.mean(axis=0) + 0.5) / size
        np.testing.assert_allclose(columns(features, "row", "column")[s], centre, 1e-5)
        np.testing.assert_allclose(columns(features, "off_centre")[s], np.linalg.norm(centre - 0.5), 1e-4)
        np.testing.assert_allclose(columns(features, "height", "width")[s], (np.ptp(where, axis=0) + 1) / size, 1e-5)
        np.testing.assert_allclose(columns(features, "log_area")[s], np.log(len(where) / superpixels.size), 1e-5)
        assert columns(features, "border")[s] == ((where == 0) | (where == size - 1)).any()


def test_context(scene):
    _, _, graph, features = scene
    own = columns(features, *APPEARANCE).astype(float)
    count = len(own)
    step = np.zeros((count, count))
    for (a, b), length in zip(graph.edges, graph.boundary, strict=True):
        step[a, b] = step[b, a] = length
    step /= step.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(columns(features, *(f"neighbours_{n}" for n in APPEARANCE)), step @ own, 1e-4, 1e-6)
    spread = np.linalg.matrix_power((np.eye(count) + step) / 2, SPREAD) @ own
    np.testing.assert_allclose(columns(features, *(f"surroundings_{n}" for n in APPEARANCE)), spread, 1e-4, 1e-6)
    image = np.average(own, axis=0, weights=graph.areas)
    np.testing.assert_allclose(
        columns(features, *(f"image_{n}" for n in APPEARANCE)), np.tile(image, (count, 1)), 1e-4, 1e-6
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1, 3), (5, 4, 3)])
def test_any_image_has_finite_features(shape):
    image = np.full(shape, 77, np.uint8)
    superpixels = slic(image, segments=4)
    features = superpixel_features(image, superpixels, region_graph(superpixels, image))
    assert np.isfinite(features).all()
    assert features.shape == (superpixels.max() + 1, len(FEATURE_NAMES))


def test_one_superpixel_is_its_own_surroundings():
    image = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    superpixels = np.zeros((6, 7), int)
    features = superpixel_features(image, superpixels, region_graph(superpixels, image))
    for place in ("neighbours", "surroundings", "image"):
        np.testing.assert_allclose(
            columns(features, *(f"{place}_{n}" for n in APPEARANCE)), columns(features, *APPEARANCE), 1e-6
        )


def test_sizes_must_agree():
    image = np.zeros((4, 5, 3), np.uint8)
    superpixels = np.zeros((4, 5), int)
    with pytest.raises(ShapeError, match="same size"):
        superpixel_features(image[:3], superpixels, region_graph(superpixels, image))
