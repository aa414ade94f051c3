"""Label maps enlarged to a photograph's size, against SciPy's bilinear interpolation of each label's mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from tinysegrank.errors import ShapeError
from tinysegrank.upsampling import enlarge

STEP = 1 / 255


def shares(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    centres = [(np.arange(n) + 0.5) * size / n - 0.5 for n, size in zip(shape, labels.shape, strict=True)]
    grid = np.meshgrid(*centres, indexing="ij")
    masks = [(labels == label).astype(float) for label in range(256)]
    return np.stack(
        [map_coordinates(mask, grid, order=1, mode="nearest") if mask.any() else 0 * grid[0] for mask in masks]
    )


@given(st.data())
def test_each_pixel_takes_the_label_with_the_largest_share(data):
    height, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    labels = np.array(
        data.draw(st.lists(st.sampled_from([0, 3, 20, 255]), min_size=height * width, max_size=height * width))
    )
    labels = labels.reshape(height, width).astype(np.uint8)
    shape = (height + data.draw(st.integers(0, 9)), width + data.draw(st.integers(0, 9)))
    found, of_all = enlarge(labels, shape), shares(labels, shape)
    assert found.shape == shape and found.dtype == np.uint8
    of_found = np.take_along_axis(of_all, found[None].astype(int), axis=0)[0]
    assert (of_found >= of_all.max(axis=0) - 2 * STEP).all()


def test_a_pixels_centre_keeps_its_label(rng):
    labels = rng.integers(0, 256, (7, 9), dtype=np.uint8)
    np.testing.assert_array_equal(enlarge(labels, (35, 27))[2::5, 1::3], labels)
    assert enlarge(labels, (7, 9)) is labels


def test_a_slanted_border_has_small_steps():
    """Repeating pixels gives steps of 16 pixels on a diagonal."""
    labels = np.tri(20, dtype=np.uint8)
    border = enlarge(labels, (320, 320)).argmin(axis=1)  # of each row
    assert np.abs(np.diff(border[16:-16])).max() <= 8


@pytest.mark.parametrize(
    ("given", "shape"), [((4, 4), (3, 9)), ((4, 4), (9, 3)), ((0, 4), (9, 9)), ((9,), (9,)), ((0, 4), (0, 4))]
)
def test_a_smaller_size_and_labels_that_are_no_map_are_refused(given, shape):
    with pytest.raises(ShapeError, match="at least their size"):
        enlarge(np.zeros(given, np.uint8), shape)
