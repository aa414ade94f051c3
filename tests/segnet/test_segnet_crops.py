"""Coarse maps of corner crops: where they lie, what is stored of them, and how they are averaged."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.segnet.segnet_toys import CHANNELS, CLASSES, thin_model, toy_store
from tinysegrank.errors import CheckpointError, ConfigError, ShapeError
from tinysegrank.segnet import (
    CropStore,
    FeatureStore,
    SegNet,
    chunk_arrays,
    crop_arrays,
    mean_with_crops,
    predict_features,
    predict_store,
)
from tinysegrank.segnet.crops import cell_overlaps, corner_windows
from tinysegrank.voc import soft_targets


def distributions(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.dirichlet(np.full(shape[-1], 0.4), shape[:-1]).astype(np.float32)


def sharp_model() -> SegNet:
    model = thin_model()
    model.assign({"conv8.weight": model.parameters["conv8.weight"] * 300})
    return model


# Area ----------------------------------------------------------------------------------------------------------------


def counted(coarse: np.ndarray, crops: np.ndarray, part: int, whole: int) -> np.ndarray:
    """The mean over the sub-pixels of each cell and the maps that show them; crops are `part` of `whole` wide."""
    height, width = coarse.shape[:2]
    rows, columns = height * whole, width * whole  # sub-pixels: no cell's edge, of image or crop, falls inside one
    total, seen = np.zeros(coarse.shape), np.zeros((height, width, 1))
    for y in range(rows):
        for x in range(columns):
            cell = (y // whole, x // whole)
            total[cell] += coarse[cell]
            seen[cell] += 1
            for corner, maps in enumerate(crops):
                inner_y = y - (corner // 2) * (rows - part * height)
                inner_x = x - (corner % 2) * (columns - part * width)
                if 0 <= inner_y < part * height and 0 <= inner_x < part * width:
                    total[cell] += maps[inner_y // part, inner_x // part]
                    seen[cell] += 1
    return total / seen


@settings(max_examples=25)
@given(
    share=st.sampled_from([(1, 1), (1, 2), (2, 3), (3, 4), (3, 5), (5, 6), (1, 3)]),
    grid=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 99),
)
def test_by_counting_sub_pixels(share: tuple[int, int], grid: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse, crops = distributions(rng, 2, *grid, 3), distributions(rng, 4, 2, *grid, 3)
    found = mean_with_crops(coarse, crops, share[0] / share[1])
    assert found.dtype == np.float32 and found.flags.c_contiguous
    for image in range(2):
        np.testing.assert_allclose(found[image], counted(coarse[image], crops[:, image], *share), atol=1e-6)


def test_the_size_of_the_network_by_counting_sub_pixels(rng: np.random.Generator) -> None:
    coarse, crops = distributions(rng, 1, 13, 13, 21), distributions(rng, 4, 1, 13, 13, 21)
    np.testing.assert_allclose(
        mean_with_crops(coarse, crops, 2 / 3)[0], counted(coarse[0], crops[:, 0], 2, 3), atol=1e-6
    )


@pytest.mark.parametrize("share", [0.5, 0.67, 0.8, 0.999, 1.0])
def test_distributions_stay_distributions(share: float, rng: np.random.Generator) -> None:
    coarse, crops = distributions(rng, 3, 13, 13, 21), distributions(rng, 4, 3, 13, 13, 21)
    before = coarse.copy(), crops.copy()
    found = mean_with_crops(coarse, crops, share)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    assert found.min() >= 0
    np.testing.assert_array_equal(coarse, before[0])
    np.testing.assert_array_equal(crops, before[1])
    same = np.broadcast_to(coarse[:, :1, :1], coarse.shape)  # an image that looks alike everywhere
    np.testing.assert_allclose(mean_with_crops(same, np.stack([same] * 4), share), same, atol=1e-6)


def test_crops_that_grow_to_the_image_give_the_plain_map(rng: np.random.Generator) -> None:
    coarse = distributions(rng, 2, 13, 13, 21)
    crops = np.stack([coarse] * 4)
    np.testing.assert_allclose(mean_with_crops(coarse, crops, 1.0), coarse, atol=1e-6)
    differences = [np.abs(mean_with_crops(coarse, crops, share) - coarse).max() for share in (0.9, 0.99, 0.999, 0.9999)]
    assert differences == sorted(differences, reverse=True)
    assert differences[-1] < 2e-3


def test_shares_of_pixels_are_the_same_from_corners_of_half_the_side(rng: np.random.Generator) -> None:
    """Two cells of a crop then make one of the image, so that what is counted in crops adds up to the whole."""
    labels = np.kron(rng.integers(0, CLASSES, (16, 24), np.uint8), np.ones((3, 3), np.uint8))  # (48, 72)
    cut = [labels[:24, :36], labels[:24, 36:], labels[24:, :36], labels[24:, 36:]]
    whole, *corners = (soft_targets(part, grid=(12, 12), num_classes=CLASSES)[0][None] for part in (labels, *cut))
    np.testing.assert_allclose(mean_with_crops(whole, np.stack(corners), 0.5), whole, atol=1e-6)
    swapped = np.stack([corners[i] for i in (1, 0, 2, 3)])
    assert np.abs(mean_with_crops(whole, swapped, 0.5) - whole).max() > 0.2


def test_the_mirror_image_has_the_mirrored_map(rng: np.random.Generator) -> None:
    coarse, crops = distributions(rng, 1, 13, 13, 5), distributions(rng, 4, 1, 13, 13, 5)
    turned = mean_with_crops(coarse[:, :, ::-1], crops[[1, 0, 3, 2], :, :, ::-1], 0.7)
    np.testing.assert_allclose(turned[:, :, ::-1], mean_with_crops(coarse, crops, 0.7), atol=1e-6)


@given(start=st.floats(0, 0.6), side=st.floats(0.05, 0.4), count=st.integers(1, 13))
def test_a_windows_cells_lie_in_the_images_with_all_their_area(start: float, side: float, count: int) -> None:
    overlaps = cell_overlaps(start, start + side, count)
    np.testing.assert_allclose(overlaps.sum(axis=0), side, atol=1e-12)  # in cells of the image: each is `side` of one
    assert np.all(overlaps.sum(axis=1) <= 1 + 1e-12) and np.all(overlaps >= 0)


def test_windows() -> None:
    expected = [(0, 0, 0.75, 0.75), (0, 0.25, 0.75, 1), (0.25, 0, 1, 0.75), (0.25, 0.25, 1, 1)]
    np.testing.assert_array_equal(corner_windows(0.75), expected)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01, float("nan")])
def test_shares_that_are_none(share: float, rng: np.random.Generator) -> None:
    coarse = distributions(rng, 1, 2, 2, 3)
    with pytest.raises(ConfigError, match="share="):
        mean_with_crops(coarse, np.stack([coarse] * 4), share)


def test_maps_that_do_not_fit(rng: np.random.Generator) -> None:
    coarse = distributions(rng, 2, 3, 3, 3)
    for own, crops in ((coarse, [coarse] * 3), (coarse, [coarse[:1]] * 4), (coarse[0], [coarse[0]] * 4)):
        with pytest.raises(ShapeError, match="pass \\(N, GH, GW, K\\)"):
            mean_with_crops(own, np.stack(crops), 0.5)


def test_no_images() -> None:
    none = np.zeros((0, 13, 13, 3), np.float32)
    assert mean_with_crops(none, np.stack([none] * 4), 0.5).shape == none.shape


# What is stored ------------------------------------------------------------------------------------------------------


def test_features_are_those_of_the_pixels_of_the_corners(rng: np.random.Generator) -> None:
    """Of images of twice the network's size, whose corners of half the side are not resampled, but for their edges."""
    images = [np.kron(rng.integers(0, 256, (2, 2, 3), np.uint8), np.ones((113, 113, 1), np.uint8)) for _ in range(2)]
    images = [np.clip(image + rng.integers(-9, 9, image.shape), 0, 255).astype(np.uint8) for image in images]
    parts = [image[y : y + 113, x : x + 113] for image in images for y in (0, 113) for x in (0, 113)]
    model, labels = thin_model(), [np.zeros((113, 113), np.uint8)] * 8
    for mirrors in (True, False):
        expected = chunk_arrays(model, parts, labels, mirrors=mirrors)["features"]
        found = crop_arrays(model, images, 0.5, mirrors=mirrors)
        assert list(found) == ["features"]
        assert found["features"].dtype == np.float16
        np.testing.assert_allclose(found["features"], expected, rtol=2e-3, atol=1e-3 * expected.max())


def crop_store(folder: Path, model: SegNet, images: list[np.ndarray], **options: object) -> CropStore:
    store = CropStore(folder, images=len(images), **{"share": 0.7, "mirrors": True, "chunk": 2} | options)
    for chunk in range(store.chunks):
        members = [images[i] for i in store.members(chunk)]
        store.write(chunk, crop_arrays(model, members, store.share, mirrors=store.mirrors))
    return store


@pytest.fixture
def images(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((40, 60), (90, 31), (13, 20))]


@pytest.mark.parametrize("mirrored", [False, True])
def test_maps_by_the_steps(tmp_path: Path, images: list[np.ndarray], mirrored: bool) -> None:
    model, chosen = sharp_model(), np.array([2, 0])
    store = FeatureStore(tmp_path / "whole", images=3, mirrors=True, chunk=3)
    store.write(0, chunk_arrays(model, images, [np.zeros(image.shape[:2], np.uint8) for image in images], mirrors=True))
    crops = crop_store(tmp_path / "crops", model, images, mirrors=mirrored)
    assert crops.rows == 3 * 4 * (1 + mirrored)

    def coarse_of(image: np.ndarray, window: tuple[float, ...]) -> np.ndarray:
        x = model.preset.preprocessing.apply(image, window=window)
        views = [x, x[:, :, ::-1]] if mirrored else [x]
        maps = [predict_features(model, model.features(view[None].copy()).astype(np.float16))[0] for view in views]
        return (maps[0] + np.flip(maps[1], axis=1)) / 2 if mirrored else maps[0]

    found = predict_store(model, store, chosen, mirrored=mirrored, crops=crops)
    for place, number in enumerate(chosen):
        plain = coarse_of(images[number], (0, 0, 1, 1))
        corners = [coarse_of(images[number], window) for window in corner_windows(0.7)]
        expected = mean_with_crops(plain[None], np.stack(corners)[:, None], 0.7)[0]
        np.testing.assert_allclose(found[place], expected, atol=5e-3)
        assert np.abs(expected - plain).max() > 0.05  # crops matter
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    assert len(predict_store(model, store, mirrored=mirrored, crops=crops)) == 3
    none = predict_store(model, store, np.array([], int), mirrored=mirrored, crops=crops)
    assert none.shape == (0, 13, 13, CLASSES)


def test_crops_without_mirror_images_are_not_mirrored(tmp_path: Path, images: list[np.ndarray]) -> None:
    model = thin_model()
    crops = crop_store(tmp_path / "crops", model, images, mirrors=False)
    with pytest.raises(ShapeError, match="crops: has no mirror images"):
        predict_store(model, toy_store(tmp_path / "whole", images=3), mirrored=True, crops=crops)


def test_rows_of_images_with_all_their_crops(tmp_path: Path, images: list[np.ndarray]) -> None:
    crops = crop_store(tmp_path, thin_model(), images)
    np.testing.assert_array_equal(crops.rows_of(np.array([2, 0])), [*range(16, 24), *range(8)])
    assert crops.gather("features").shape == (24, CHANNELS, 13, 13)
    sent = pickle.loads(pickle.dumps(crops))  # to a worker process
    np.testing.assert_array_equal(sent.gather("features"), crops.gather("features"))
    assert (sent.share, sent.views, sent.chunks) == (0.7, 8, 2)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"chunk_0000{i}.features.npy" for i in range(2)]
    (tmp_path / "chunk_00001.features.npy").unlink()
    assert [[file.is_file() for file in crops.files(i)] for i in range(2)] == [[True], [False]]
    with pytest.raises(CheckpointError, match=r"chunk_00001\.features\.npy: is missing"):
        CropStore(tmp_path, images=3, share=0.7, mirrors=True, chunk=2).gather("features")
