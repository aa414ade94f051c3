"""SegNet's map in the unary costs of the CRF."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import zoom

from tinysegrank.errors import ShapeError
from tinysegrank.proposals import with_segnet
from tinysegrank.proposals.crf.unary import FLOOR


def distributions(rng, *shape):
    p = rng.random(shape) + 0.01
    return p / p.sum(axis=-1, keepdims=True)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    superpixels = np.repeat(np.arange(4).reshape(2, 2), 6, axis=0).repeat(6, axis=1)  # tiles of 6 x 6 pixels
    return np.log(distributions(rng, 4, 3)), distributions(rng, 2, 2, 3), superpixels


def test_weights_of_0_and_1_give_one_of_the_two(case):
    log, coarse, superpixels = case
    np.testing.assert_allclose(with_segnet(log, coarse, superpixels, 0), log, atol=1e-12)
    enlarged = zoom(coarse, (6, 6, 1), order=1, mode="nearest", grid_mode=True)  # bilinear, cells as tiles
    means = [enlarged[1::3, 1::3][superpixels[1::3, 1::3] == s].mean(axis=0) for s in range(4)]
    np.testing.assert_allclose(np.exp(with_segnet(log, coarse, superpixels, 1)), means, atol=1e-6)


def test_between_them_it_is_the_normalised_geometric_mean(case):
    log, coarse, superpixels = case
    of_segnet = np.exp(with_segnet(log, coarse, superpixels, 1))
    product = np.exp(log) ** 0.7 * of_segnet**0.3
    combined = np.exp(with_segnet(log, coarse, superpixels, 0.3))
    np.testing.assert_allclose(combined, product / product.sum(axis=1, keepdims=True), atol=1e-9)


def test_a_class_that_segnet_excludes_keeps_a_small_probability(case):
    log, _, superpixels = case
    coarse = np.zeros((2, 2, 3))
    coarse[..., 0] = 1
    combined = with_segnet(log, coarse, superpixels, 0.5)
    assert np.isfinite(combined).all()
    np.testing.assert_allclose(combined[:, 1] - combined[:, 0], (log[:, 1] - log[:, 0] + np.log(FLOOR)) / 2)


def test_arrays_that_do_not_fit_are_named(case):
    log, coarse, superpixels = case
    with pytest.raises(ShapeError, match="coarse"):
        with_segnet(log, coarse[..., :2], superpixels, 0.5)
    with pytest.raises(ShapeError, match="superpixels: 4 for 3"):
        with_segnet(log[:3], coarse, superpixels, 0.5)
