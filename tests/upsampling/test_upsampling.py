"""Both upsamplers against loops over pixels, each other, and the definition at its ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysegrank.errors import DatasetError, ShapeError
from tinysegrank.upsampling import fast, naive, superpixel, superpixel_distributions

TIE = 1e-12  # where two classes' probabilities agree to this, the readable version and Numba's may choose differently


def edge(number: int, length: int, count: int) -> int:
    return int(np.floor(number * length / count + 0.5))


def cell(pixel: int, length: int, count: int) -> int:
    return next(n for n in range(count) if edge(n, length, count) <= pixel < edge(n + 1, length, count))


def naive_by_loops(coarse: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    labels = np.empty(shape, np.uint8)
    for y in range(shape[0]):
        for x in range(shape[1]):
            labels[y, x] = coarse[cell(y, shape[0], coarse.shape[0]), cell(x, shape[1], coarse.shape[1])].argmax()
    return labels


def distributions_by_loops(coarse: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    """The mean, over a superpixel's pixels, of the distribution of the cell that the pixel lies in."""
    (H, W), (h, w, K) = superpixels.shape, coarse.shape
    total, size = np.zeros((superpixels.max() + 1, K)), np.zeros(superpixels.max() + 1)
    for y in range(H):
        for x in range(W):
            total[superpixels[y, x]] += coarse[cell(y, H, h), cell(x, W, w)]
            size[superpixels[y, x]] += 1
    return total / np.maximum(size, 1)[:, None]


def assert_labels_agree(labels: np.ndarray, others: np.ndarray, distributions: np.ndarray, superpixels: np.ndarray):
    """Equal labels, save where the two classes chosen are equally probable."""
    pixelwise = distributions[superpixels]  # (H, W, K)
    chosen = np.take_along_axis(pixelwise, labels[..., None].astype(int), axis=2)
    other = np.take_along_axis(pixelwise, others[..., None].astype(int), axis=2)
    assert np.abs(chosen - other)[labels != others].max(initial=0) <= TIE


@st.composite
def scenes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    h, w, K = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    H, W = draw(st.integers(h, 20)), draw(st.integers(w, 20))
    coarse = rng.dirichlet(np.full(K, 0.3), (h, w)).astype(np.float32)
    if draw(st.booleans()):
        coarse = np.round(coarse * 4) / np.float32(4)  # many exact ties
    superpixels = rng.integers(0, draw(st.integers(1, H * W)), (H, W))
    return coarse, superpixels.astype(draw(st.sampled_from([np.int16, np.int32, np.int64, np.uint16, ">i4"])))


@given(scenes())
def test_against_loops_over_pixels(scene):
    coarse, superpixels = scene
    expected = distributions_by_loops(coarse.astype(np.float64), superpixels)
    distributions = superpixel_distributions(coarse, superpixels)
    np.testing.assert_allclose(distributions, expected, atol=1e-13)
    np.testing.assert_array_equal(naive(coarse, superpixels.shape), naive_by_loops(coarse, superpixels.shape))
    readable = superpixel(coarse.astype(np.float64), superpixels)
    assert readable.dtype == np.uint8
    assert_labels_agree(readable, expected.argmax(axis=1)[superpixels], expected, superpixels)


@settings(deadline=None)  # compiles on first use
@given(scenes())
def test_the_numba_version_equals_the_readable_one(scene):
    coarse, superpixels = scene
    numba, readable = superpixel(coarse, superpixels), superpixel(coarse.astype(np.float64), superpixels)
    assert numba.dtype == np.uint8
    assert_labels_agree(numba, readable, superpixel_distributions(coarse, superpixels), superpixels)


def test_photograph_sized_scene_without_ties_gives_identical_labels():
    rng = np.random.default_rng(3)
    coarse = rng.dirichlet(np.ones(21), (13, 13)).astype(np.float32)
    y, x = np.mgrid[:375, :500]
    wobble = rng.integers(-3, 4, (2, 375, 500))
    superpixels = np.clip((y + wobble[0]) // 25, 0, 14) * 20 + np.clip((x + wobble[1]) // 25, 0, 19)
    np.testing.assert_array_equal(superpixel(coarse, superpixels), superpixel(coarse.astype(float), superpixels))


def test_one_superpixel_a_pixel_is_naive_upsampling():
    coarse = np.random.default_rng(0).dirichlet(np.ones(5), (3, 4)).astype(np.float32)
    superpixels = np.arange(14 * 15).reshape(14, 15)
    for labels in (superpixel(coarse, superpixels), superpixel(coarse.astype(float), superpixels)):
        np.testing.assert_array_equal(labels, naive(coarse, (14, 15)))


def test_one_superpixel_in_all_takes_the_area_weighted_mean():
    coarse = np.random.default_rng(1).dirichlet(np.ones(5), (3, 4)).astype(np.float32)
    superpixels = np.zeros((6, 8), np.int32)  # every cell has 2 x 2 pixels
    assert set(superpixel(coarse, superpixels).ravel()) == {coarse.mean(axis=(0, 1)).argmax()}
    np.testing.assert_allclose(superpixel_distributions(coarse, superpixels)[0], coarse.mean(axis=(0, 1)), rtol=1e-6)


def test_first_of_equally_probable_classes_wins():
    coarse = np.full((2, 2, 4), 0.25, np.float32)
    superpixels = np.arange(4).repeat(4).reshape(4, 4)
    assert not naive(coarse, (5, 5)).any()
    assert not superpixel(coarse, superpixels).any()
    assert not superpixel(coarse.astype(float), superpixels).any()


def test_gaps_in_the_numbers_are_empty_rows():
    coarse = np.full((1, 1, 2), 0.5, np.float32)
    superpixels = np.array([[0, 3], [3, 3]])
    np.testing.assert_array_equal(
        superpixel_distributions(coarse, superpixels), [[0.5] * 2, [0] * 2, [0] * 2, [0.5] * 2]
    )


def test_the_environment_turns_the_numba_version_off(monkeypatch):
    monkeypatch.delenv("TINYSEGRANK_ACCELERATE", raising=False)
    calls = []
    monkeypatch.setattr(fast, "superpixel", lambda *arrays: calls.append(arrays))
    coarse, superpixels = np.ones((1, 1, 2), np.float32), np.zeros((1, 1), int)
    superpixel(coarse, superpixels)
    assert len(calls) == 1
    superpixel(coarse.astype(np.float64), superpixels)  # float64 always takes the readable version
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "0")
    superpixel(coarse, superpixels)
    assert len(calls) == 1


def test_inputs_are_neither_changed_nor_required_contiguous():
    rng = np.random.default_rng(2)
    coarse = rng.dirichlet(np.ones(5), (6, 6)).astype(np.float32)
    superpixels = rng.integers(0, 9, (24, 24))
    coarse.flags.writeable = superpixels.flags.writeable = False
    strided = superpixel(coarse[::2, ::-1], superpixels[::-1, ::2])
    np.testing.assert_array_equal(strided, superpixel(coarse[::2, ::-1].copy(), superpixels[::-1, ::2].copy()))


COARSE = np.full((2, 2, 3), 1 / 3, np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("coarse", "superpixels", "message"),
    [
        (COARSE[0], np.zeros((4, 4), int), "coarse"),
        (COARSE[:0], np.zeros((4, 4), int), "coarse"),
        (COARSE * np.nan, np.zeros((4, 4), int), "NaN"),
        (COARSE * np.inf, np.zeros((4, 4), int), "infinity"),
        (np.ones((1, 1, 257)), np.zeros((4, 4), int), "256"),
        (COARSE, np.zeros(16, int), "superpixels"),
        (COARSE, np.zeros((0, 4), int), "superpixels"),
        (COARSE, np.zeros((4, 4)), "integers"),
        (COARSE, np.full((4, 4), -1), "-1"),
        (COARSE, np.full((20, 20), -1, np.int8), r"0 .. 399, got -1 .. -1"),
        (COARSE, np.full((20, 20), -7, ">i4"), "-7"),
        (COARSE, np.full((4, 4), 16), "16"),
    ],
)
def test_bad_input(coarse, superpixels, message, dtype):
    with pytest.raises(ShapeError, match=message):
        superpixel(coarse.astype(dtype), superpixels)


def test_integer_scores_are_refused():
    with pytest.raises(ShapeError, match="floating"):
        naive(np.ones((2, 2, 3), int), (4, 4))


@pytest.mark.parametrize("shape", [(1, 4), (4, 1)])
def test_image_smaller_than_the_grid(shape):
    for call in (naive, lambda coarse, shape: superpixel(coarse, np.zeros(shape, int))):
        with pytest.raises(DatasetError):
            call(COARSE, shape)
