"""Pooling over superpixels against SciPy's interpolation at every pixel that counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.superpixels import bilinear_weights, pool_maps


def looped(part, superpixels, step):
    """The mean over each superpixel of the map enlarged to the image: (S, C)."""
    sides, cells = superpixels.shape, part.shape[1:]
    axes = [(np.arange(side) + 0.5) * count / side - 0.5 for side, count in zip(sides, cells, strict=True)]
    places = np.meshgrid(*axes, indexing="ij")
    large = np.stack([map_coordinates(channel, places, order=1, mode="nearest") for channel in part], axis=-1)
    rows = []
    for number in range(superpixels.max() + 1):
        pixels = [(r, c) for r, c in np.argwhere(superpixels == number) if r % step == c % step == step // 2]
        pixels = pixels or np.argwhere(superpixels == number)
        rows.append(np.mean([large[r, c] for r, c in pixels], axis=0))
    return np.array(rows)


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 5), st.integers(1, 20)),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
)
def test_means_are_those_of_the_enlarged_map(sides, cells, count, step, seed):
    rng = np.random.default_rng(seed)
    superpixels = np.unique(rng.integers(0, count, sides), return_inverse=True)[1].reshape(sides)
    one, other = rng.normal(size=(3, *cells)), rng.normal(size=(2, 4, 3))  # grids finer than the image too
    found = pool_maps([one, other], superpixels, step=step)
    assert found.dtype == np.float32
    expected = np.concatenate([looped(one, superpixels, step), looped(other, superpixels, step)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_weights_are_shares_and_a_number_that_is_not_there_gets_none():
    superpixels = np.array([[0, 0, 3], [0, 3, 3]])
    weights = bilinear_weights(superpixels, (2, 2)).toarray()
    np.testing.assert_allclose(weights.sum(axis=1), [1, 0, 0, 1])
    assert weights.min() >= 0


def test_every_third_pixel_is_plenty():
    """Blobs of some 40 pixels under a smooth map: what is left out changes the mean by a few thousandths."""
    rows, columns = np.indices((60, 90))
    superpixels = rows // 12 * 9 + columns // 10
    part = np.sin(np.indices((1, 7, 9))[1:].sum(axis=0) / 3)
    whole, third = (pool_maps([part], superpixels, step=step) for step in (1, 3))
    np.testing.assert_allclose(third, whole, atol=0.02)


def test_bad_input_is_named():
    superpixels, part = np.zeros((4, 5), np.int32), np.zeros((2, 3, 3))
    for maps in ([], [part[0]], [np.zeros((2, 0, 3))]):
        with pytest.raises(ShapeError, match="maps"):
            pool_maps(maps, superpixels)
    for wrong in (superpixels - 1, superpixels[0], superpixels[:0]):
        with pytest.raises(ShapeError, match="superpixels"):
            pool_maps([part], wrong)
    with pytest.raises(ConfigError, match="step"):
        pool_maps([part], superpixels, step=0)
