"""SLIC: contiguous numbers on any image, connected superpixels, strong edges kept."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.superpixels import as_rgb
from tinysegrank.superpixels import slic as any_slic


@pytest.fixture(params=["scikit-image", "integer", "integer, readable"])
def slic(request, monkeypatch):
    """`slic` by each method."""
    method, _, readable = request.param.partition(", ")
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "0" if readable else "1")
    return functools.partial(any_slic, method=method)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (30, 45)])
@pytest.mark.parametrize("fill", ["one colour", "noise"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_numbers_are_contiguous_on_any_image(slic, shape, fill, channels):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, *channels), dtype=np.uint8)
    image = noise if fill == "noise" else np.full_like(noise, 90)
    superpixels = slic(image, segments=20)
    assert superpixels.shape == shape
    assert superpixels.dtype == np.int32
    assert np.array_equal(np.unique(superpixels), np.arange(superpixels.max() + 1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the environment stays the same
@given(st.integers(1, 25), st.integers(1, 25), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_numbers_are_contiguous_for_any_size_and_count(slic, height, width, segments, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    superpixels = slic(image, segments=segments)
    assert np.array_equal(np.unique(superpixels), np.arange(superpixels.max() + 1))


def test_superpixels_are_connected_and_near_the_count(slic):
    rows, columns = np.mgrid[:120, :160]
    image = np.stack([rows * 2, columns, (rows + columns) // 2], axis=2).astype(np.uint8)
    superpixels = slic(image, segments=48)
    assert 30 <= superpixels.max() + 1 <= 70
    for number in range(superpixels.max() + 1):
        assert ndimage.label(superpixels == number)[1] == 1


@pytest.mark.parametrize(("smoothing", "slack"), [(0.0, 0), (1.0, 1)])
def test_no_superpixel_crosses_a_strong_edge(slic, smoothing, slack):
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, 33:] = (255, 240, 10)
    superpixels = slic(image, segments=24, smoothing=smoothing)
    left, right = superpixels[:, : 33 - slack], superpixels[:, 33 + slack :]
    assert not set(np.unique(left)) & set(np.unique(right))


def test_noise_does_not_merge_everything(slic):
    image = np.random.default_rng(0).integers(90, 150, (60, 80, 3), dtype=np.uint8)
    assert 40 <= slic(image, segments=60).max() + 1 <= 80


def test_same_image_same_superpixels(slic):
    image = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert np.array_equal(slic(image, segments=30), slic(image, segments=30))


def test_as_rgb_repeats_grey_and_keeps_rgb():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert np.array_equal(as_rgb(grey), np.stack([grey] * 3, axis=2))
    assert as_rgb(as_rgb(grey)).shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 5, 4), np.uint8), r"\(4, 5, 4\)"),
        (np.zeros((4, 5, 3)), "float64"),
        (np.zeros((0, 5, 3), np.uint8), "no pixel"),
    ],
)
def test_bad_images_are_named(slic, image, message):
    with pytest.raises(ShapeError, match=message):
        slic(image)


NAN = float("nan")


@pytest.mark.parametrize(
    "options", [{"segments": 0}, {"compactness": 0.0}, {"compactness": NAN}, {"smoothing": -1.0}, {"smoothing": NAN}]
)
def test_bad_options_are_named(slic, options):
    with pytest.raises(ShapeError, match=r"segments=.*compactness=.*smoothing="):
        slic(np.zeros((4, 5, 3), np.uint8), **options)


def test_unknown_method_is_named():
    with pytest.raises(ConfigError, match=r'method="quick".*integer, scikit-image'):
        any_slic(np.zeros((4, 5, 3), np.uint8), method="quick")
