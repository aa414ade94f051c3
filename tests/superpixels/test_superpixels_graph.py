"""The region graph against a loop over pixels."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from tinysegrank.errors import ShapeError
from tinysegrank.superpixels import region_graph


def looped(superpixels, image):
    """{(a, b): squared Lab distances of the pixel pairs across}."""
    lab = rgb2lab(image / 255.0)
    across = defaultdict(list)
    height, width = superpixels.shape
    for r in range(height):
        for c in range(width):
            for r2, c2 in ((r, c + 1), (r + 1, c)):
                if r2 < height and c2 < width and superpixels[r, c] != superpixels[r2, c2]:
                    pair = tuple(sorted((int(superpixels[r, c]), int(superpixels[r2, c2]))))
                    across[pair].append(float(((lab[r, c] - lab[r2, c2]) ** 2).sum()))
    return across


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_graph_equals_a_loop_over_pixels(height, width, count, seed):
    rng = np.random.default_rng(seed)
    superpixels = rng.integers(0, count, (height, width)).astype(np.int32)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    graph = region_graph(superpixels, image)
    expected = looped(superpixels, image)

    assert [tuple(edge) for edge in graph.edges.tolist()] == sorted(expected)
    assert graph.edges.shape == (len(expected), 2)
    assert graph.edges.dtype == np.int32
    assert graph.boundary.tolist() == [len(expected[edge]) for edge in sorted(expected)]
    np.testing.assert_allclose(graph.contrast, [np.mean(expected[edge]) for edge in sorted(expected)], rtol=1e-3)
    for number in range(superpixels.max() + 1):
        where = np.argwhere(superpixels == number)
        assert graph.areas[number] == len(where)
        if len(where):
            np.testing.assert_allclose(graph.centroids[number], where.mean(axis=0))


def test_two_halves():
    superpixels = np.repeat([[0, 0, 1, 1]], 5, axis=0)
    image = np.zeros((5, 4, 3), np.uint8)
    image[:, 2:] = 255
    graph = region_graph(superpixels, image)
    assert graph.edges.tolist() == [[0, 1]]
    assert graph.boundary.tolist() == [5]
    np.testing.assert_allclose(graph.contrast, [100.0**2], rtol=1e-3)  # L of black is 0, of white 100
    np.testing.assert_allclose(graph.centroids, [[2, 0.5], [2, 2.5]])


def test_lab_given_is_lab_used_and_grey_is_taken():
    superpixels = np.array([[0, 1]])
    image = np.array([[10, 200]], np.uint8)
    lab = rgb2lab(np.repeat(image[:, :, None], 3, axis=2) / 255)
    np.testing.assert_allclose(region_graph(superpixels, image).contrast, ((lab[0, 0] - lab[0, 1]) ** 2).sum(), 1e-4)
    assert region_graph(superpixels, image, lab=np.zeros((1, 2, 3))).contrast.tolist() == [0.0]


def test_one_superpixel_has_no_edge():
    graph = region_graph(np.zeros((3, 4), np.int32), np.zeros((3, 4, 3), np.uint8))
    assert graph.edges.shape == (0, 2)
    assert graph.boundary.shape == graph.contrast.shape == (0,)


def test_bad_input_is_named():
    image = np.zeros((3, 4, 3), np.uint8)
    with pytest.raises(ShapeError, match="same"):
        region_graph(np.zeros((4, 3), np.int32), image)
    with pytest.raises(ShapeError, match="negative"):
        region_graph(np.full((3, 4), -1), image)
    with pytest.raises(ShapeError, match="lab"):
        region_graph(np.zeros((3, 4), np.int32), image, lab=np.zeros((3, 4)))
