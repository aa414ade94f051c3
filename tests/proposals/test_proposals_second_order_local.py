"""Dense SIFT and binary patterns against loops over pixels, turned images, flat and tiny ones."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals.o2p.second_order import SecondOrderOptions, local_descriptors
from tinysegrank.proposals.o2p.second_order.lbp import RING, dense_lbp, uniform_codes
from tinysegrank.proposals.o2p.second_order.local import point_colours
from tinysegrank.proposals.o2p.second_order.sift import dense_sift

GREY = np.random.default_rng(0).random((9, 11))


def slow_sift(grey, cell, row, column):
    """One descriptor as the definition says, pixel by pixel."""
    H, W = grey.shape
    histogram = np.zeros((4, 4, 8))
    for r in range(H):
        for c in range(W):
            across = (grey[r, min(c + 1, W - 1)] - grey[r, max(c - 1, 0)]) / 2
            down = (grey[min(r + 1, H - 1), c] - grey[max(r - 1, 0), c]) / 2
            turn = np.degrees(np.arctan2(down, across)) % 360 / 45
            for i in range(4):
                for j in range(4):
                    near = max(0, 1 - abs(r - row - (i - 1.5) * cell) / cell)
                    near *= max(0, 1 - abs(c - column - (j - 1.5) * cell) / cell)
                    low = int(turn)
                    histogram[i, j, low % 8] += near * np.hypot(across, down) * (1 - (turn - low))
                    histogram[i, j, (low + 1) % 8] += near * np.hypot(across, down) * (turn - low)
    d = histogram.ravel()
    if not d.any():
        return d
    d = np.minimum(d / np.linalg.norm(d), 0.2)
    return np.minimum(512 / 255 * d / np.linalg.norm(d), 1)


@pytest.mark.parametrize("cell", [1, 2, 3, 4])
def test_sift_is_the_histogram_over_pixels(cell):
    rows, columns = np.array([0, 4, 8]), np.array([2, 10])
    fast = dense_sift(GREY, (cell,), rows, columns)
    assert fast.shape == (1, 3, 2, 128)
    slow = [[slow_sift(GREY, cell, r, c) for c in columns] for r in rows]
    np.testing.assert_allclose(fast[0], slow, atol=2e-5)


def test_sift_of_a_turned_image_is_the_turned_sift():
    rows, columns = np.array([0, 4, 8]), np.array([1, 5, 9])
    turned = dense_sift(np.rot90(GREY), (2,), columns, rows).reshape(3, 3, 4, 4, 8)
    straight = dense_sift(GREY, (2,), rows, columns).reshape(3, 3, 4, 4, 8)
    expected = np.roll(np.rot90(np.rot90(straight), axes=(2, 3)), -2, axis=-1)
    np.testing.assert_allclose(turned, expected, atol=1e-5)


def test_sift_of_a_ramp_has_one_orientation():
    down = np.repeat(np.linspace(0, 1, 30)[:, None], 30, axis=1)
    described = dense_sift(down, (2,), np.array([15]), np.array([15])).reshape(16, 8)
    assert (described[:, 2] > 0.2).all()
    np.testing.assert_allclose(np.delete(described, 2, axis=1), 0, atol=1e-5)


def slow_codes(grey):
    H, W = grey.shape
    uniform = []
    for code in range(256):
        ring = [code >> bit & 1 for bit in range(8)]
        if sum(ring[k] != ring[k - 1] for k in range(8)) <= 2:
            uniform.append(code)
    assert len(uniform) == 58
    codes = np.full((H, W), 58)
    for r in range(H):
        for c in range(W):
            code = 0
            for bit, (dr, dc) in enumerate(RING):
                near = grey[min(max(r + dr, 0), H - 1), min(max(c + dc, 0), W - 1)]
                code += int(near > grey[r, c]) << bit
            if code in uniform:
                codes[r, c] = uniform.index(code)
    return codes


def test_codes_follow_the_definition():
    coarse = np.round(GREY * 4)  # with ties
    for grey in (GREY, coarse, np.zeros((3, 4)), GREY[:1], GREY[:, :1]):
        np.testing.assert_array_equal(uniform_codes(grey), slow_codes(grey))


@pytest.mark.parametrize("accelerate", ["1", "0"], ids=["numba", "readable"])
@pytest.mark.parametrize("cell", [1, 2, 5, 20])
def test_lbp_is_the_weighted_share_of_each_code(monkeypatch, cell, accelerate):
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", accelerate)
    codes = slow_codes(GREY)
    fast = dense_lbp(GREY, (cell, 3), np.array([0, 4]), np.array([3, 10]))
    for i, row in enumerate((0, 4)):
        for j, column in enumerate((3, 10)):
            share = np.zeros(59)
            for r, c in np.ndindex(*GREY.shape):
                share[codes[r, c]] += max(0, cell - abs(r - row)) * max(0, cell - abs(c - column))
            np.testing.assert_allclose(fast[0, i, j], np.sqrt(share / share.sum())[:58], atol=1e-6)


def test_colours_are_those_of_the_standard_library():
    rgb = np.random.default_rng(1).random((4, 5, 3)).astype(np.float32)
    colours = point_colours(rgb)
    np.testing.assert_array_equal(colours[..., :3], rgb)
    hsv = [[colorsys.rgb_to_hsv(*pixel) for pixel in row] for row in rgb.astype(float)]
    np.testing.assert_allclose(colours[..., 3:6], hsv, atol=1e-5)
    ends = point_colours(np.array([[[0, 0, 0], [1, 1, 1]]], np.float32))[0, :, 6:]
    np.testing.assert_allclose(ends, [[0, 0.5, 0.5], [1, 0.5, 0.5]], atol=1e-3)


def test_every_scale_and_grid_point_has_a_row():
    image = np.random.default_rng(2).integers(0, 256, (21, 34, 3), np.uint8)
    sift, lbp = local_descriptors(image, SecondOrderOptions(sift_cells=(2, 4), lbp_cells=(3,), step=5))
    assert sift.texture.shape == (2 * 5 * 7, 128)
    assert lbp.texture.shape == (5 * 7, 58)
    x, y, size, one = sift.places.T
    assert set(x) == {1, 6, 11, 16, 21, 26, 31}
    assert set(y) == {0, 5, 10, 15, 20}
    assert set(size) == {2, 4}
    assert set(one) == {1}
    pixels = image[y.astype(int), x.astype(int)] / np.float32(255)
    np.testing.assert_allclose(sift.colours[:, :3], pixels, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2, 3), (40, 1, 3)], ids=str)
@pytest.mark.parametrize("value", [0, 77, 255])
def test_flat_and_tiny_images_have_finite_descriptors(shape, value):
    for kind in local_descriptors(np.full(shape, value, np.uint8), SecondOrderOptions()):
        assert len(kind.texture) > 0
        assert np.isfinite(kind.texture).all() and np.isfinite(kind.colours).all()
    sift = local_descriptors(np.full(shape, value, np.uint8), SecondOrderOptions()).sift
    np.testing.assert_array_equal(sift.texture, 0)


@pytest.mark.parametrize(
    ("option", "value"),
    [("step", 0), ("sift_cells", ()), ("lbp_cells", (2, 0)), ("ridge", 0.0), ("power", float("inf"))],
    ids=["step", "no-cells", "cell-0", "ridge", "power"],
)
def test_bad_options_are_named(option, value):
    with pytest.raises(ConfigError, match=option):
        SecondOrderOptions(**{option: value})


def test_an_image_that_is_not_8_bit_is_refused():
    with pytest.raises(ShapeError, match="uint8"):
        local_descriptors(np.zeros((5, 5)), SecondOrderOptions())
