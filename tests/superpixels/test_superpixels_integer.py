"""SLIC in whole numbers: each step against its definition, the Numba versions against the readable ones, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.color import rgb2lab

from tinysegrank.errors import ShapeError
from tinysegrank.superpixels import clusters, fast, fast_parts, lab, parts, slic
from tinysegrank.superpixels.slic import grid, spatial_table

VERSIONS = pytest.mark.parametrize(
    "version", [(lab, clusters, parts), (fast, fast, fast_parts)], ids=["readable", "numba"]
)  # lab_units and smooth; assign and move_centres; join_small_parts


def photograph(shape, seed, noise=12):
    """Blobs of colour with a little noise."""
    rng = np.random.default_rng(seed)
    colours = ndimage.gaussian_filter(rng.normal(size=(*shape, 3)), (4, 4, 0))
    colours = 128 + 90 * np.sign(colours) * (np.abs(colours) > 0.02)
    return np.clip(colours + rng.normal(0, noise, colours.shape), 0, 255).astype(np.uint8)


def to_lab(rgb, module=lab):
    return module.lab_units(rgb, lab.light_table(), lab.root_table())


@VERSIONS
def test_lab_is_scikit_images(version):
    rgb = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    rgb[:60] //= 10  # dark colours, where the root is steep
    found, expected = to_lab(rgb, version[0]) / 32, np.moveaxis(rgb2lab(rgb), 2, 0)
    assert to_lab(rgb, version[0]).dtype == np.int16
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.3)
    np.testing.assert_allclose(found[:, 60:].mean(axis=(1, 2)), expected[:, 60:].mean(axis=(1, 2)), atol=0.02)


@VERSIONS
def test_grey_has_no_colour_and_white_has_lightness_100(version):
    grey = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    L, a, b = to_lab(grey, version[0])[:, 0]
    assert not a.any() and not b.any()
    assert L[0] == 0 and L[255] == 3200 and (np.diff(L) > 0).all()


@VERSIONS
@pytest.mark.parametrize("deviation", [0.4, 1.0, 3.0])
def test_smoothing_is_scipys(version, deviation):
    planes = np.random.default_rng(1).integers(-3500, 3500, (3, 20, 31)).astype(np.int16)
    radius = len(lab.gaussian_weights(deviation)) // 2
    expected = [ndimage.gaussian_filter(p.astype(float), deviation, mode="nearest", radius=radius) for p in planes]
    found = version[0].smooth(planes, lab.gaussian_weights(deviation))
    np.testing.assert_allclose(found, expected, atol=1.5)  # whole numbers, rounded twice


def random_clusters(seed, reach=4):
    """Lab, centres, the spatial table and labels of a small image."""
    rng = np.random.default_rng(seed)
    H, W, S = rng.integers(1, 20, 3)
    centres = np.column_stack([rng.integers(-200, 200, (S, 3)), rng.integers(0, H, S), rng.integers(0, W, S)])
    planes = rng.integers(-200, 200, (3, H, W)).astype(np.int16) // 100 * 100  # many equal distances
    table = spatial_table(float(rng.uniform(1, reach)), 2.0)
    return planes, centres.astype(np.int32), table, rng.integers(0, S, (H, W)).astype(np.int32)


@VERSIONS
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 3))
def test_assign_by_the_definition(version, seed, stride, first):
    planes, centres, table, labels = random_clusters(seed)
    first, reach = first % stride, len(table) // 2
    expected = labels.copy()
    for y in range(first, labels.shape[0], stride):
        for x in range(labels.shape[1]):
            around = [
                (int(((planes[:, y, x] - c[:3].astype(int)) ** 2).sum() + table[y - c[3] + reach, x - c[4] + reach]), s)
                for s, c in enumerate(centres)
                if abs(y - c[3]) <= reach and abs(x - c[4]) <= reach
            ]
            if around:
                expected[y, x] = min(around)[1]
    version[1].assign(planes, centres, table, labels, np.zeros_like(labels), first, stride)
    np.testing.assert_array_equal(labels, expected)


@VERSIONS
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 3))
def test_centres_move_to_the_mean(version, seed, stride, first):
    planes, centres, _, labels = random_clusters(seed)
    first %= stride
    expected = centres.astype(float)
    for s in range(len(centres)):
        rows, columns = np.nonzero(labels == s)
        chosen = rows % stride == first
        if chosen.any():
            rows, columns = rows[chosen], columns[chosen]
            expected[s] = np.mean([*planes[:, rows, columns], rows, columns], axis=1)
    clusters.move_centres(version[1].add_up(planes, labels, len(centres), first, stride), centres)
    np.testing.assert_array_equal(centres, np.floor(expected + 0.5 + 1e-9))


def test_spatial_table_weighs_a_step_as_compactness():
    table = spatial_table(25.0, 20.0)
    assert table.shape == (51, 51)
    assert table[25, 25] == 0 and table[25, 50] == table[0, 25] == (32 * 20) ** 2
    assert table[0, 0] == 2 * (32 * 20) ** 2


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 2000))
def test_grid_has_about_the_cells_asked_for_and_no_empty_one(H, W, segments):
    rows, columns = grid((H, W), segments)
    assert 1 <= rows <= H and 1 <= columns <= W
    if max(H, W) <= 2 * min(H, W) and 12 <= segments <= H * W / 4:
        assert 0.8 * segments <= rows * columns <= 1.2 * segments


# Parts ---------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_connected_parts_are_scipys(seed, count):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, count, rng.integers(1, 15, 2))
    found = parts.connected_parts(labels)
    expected, total = np.zeros(labels.shape, int), 0
    for label in range(count):
        part, parts_of_label = ndimage.label(labels == label)
        expected += np.where(part > 0, part + total, 0)
        total += parts_of_label
    assert len(np.unique(found * (total + 1) + expected)) == total == found.max() + 1  # one to one
    assert (np.diff(np.unique(found, return_index=True)[1]) > 0).all()  # in the order of first pixels


@VERSIONS
def test_a_small_part_joins_the_neighbour_most_alike(version):
    labels = np.array([[0, 0, 0, 0], [0, 2, 1, 1], [3, 3, 1, 1], [3, 3, 1, 1]], np.int32)
    planes = np.zeros((3, 4, 4), np.int16)
    for label, colour in enumerate([(0, 0, 0), (100, 90, 0), (100, 60, 0), (0, 60, 0)]):
        planes[:, labels == label] = np.array(colour)[:, None]
    expected = np.array([[0, 0, 0, 0], [0, 1, 1, 1], [2, 2, 1, 1], [2, 2, 1, 1]])
    np.testing.assert_array_equal(version[2].join_small_parts(labels, planes, 3), expected)


@VERSIONS
def test_pieces_of_one_cluster_are_taken_apart(version):
    labels = np.array([[5, 5, 2, 5, 5]], np.int32).repeat(2, axis=0)
    planes = np.zeros((3, 2, 5), np.int16)
    np.testing.assert_array_equal(version[2].join_small_parts(labels, planes, 2), [[0, 0, 1, 2, 2]] * 2)
    np.testing.assert_array_equal(version[2].join_small_parts(labels, planes, 3), [[0, 0, 0, 1, 1]] * 2)  # of two alike
    assert not version[2].join_small_parts(labels, planes, 11).any()  # all too small: one is left


@VERSIONS
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 30))
def test_joined_parts_are_whole_connected_and_large(version, seed, count, smallest):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, count, rng.integers(1, 15, 2)).astype(np.int32)
    planes = rng.integers(-9, 9, (3, *labels.shape)).astype(np.int16)
    found, before = version[2].join_small_parts(labels, planes, smallest), parts.connected_parts(labels)
    assert found.dtype == np.int32
    pairs = np.unique(np.stack([before.ravel(), found.ravel()]), axis=1)
    assert len(pairs[0]) == before.max() + 1  # no part is torn
    sizes_before, sizes = np.bincount(before.ravel()), np.bincount(found.ravel())
    for number in range(found.max() + 1):
        assert ndimage.label(found == number)[1] == 1
        members = pairs[0][pairs[1] == number]
        if (sizes_before[members] >= smallest).all():
            assert len(members) == 1  # large parts never join each other
    if smallest == 0:
        np.testing.assert_array_equal(found, before)
    assert (np.diff(np.unique(found, return_index=True)[1]) > 0).all()
    if sizes_before.min() < smallest and len(sizes_before) > 1:  # the smallest has its turn first
        assert sizes[pairs[1][sizes_before.argmin()]] > sizes_before.min()


# The whole -----------------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 80),
    st.sampled_from([0.01, 5.0, 20.0, 500.0]),
    st.sampled_from([0.0, 0.3, 1.0, 9.0]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_the_numba_versions_agree_to_the_bit(height, width, segments, compactness, smoothing, is_noise, seed):
    image = photograph((height, width), seed)
    if is_noise:
        image = np.random.default_rng(seed).integers(0, 256, image.shape, dtype=np.uint8)
    found = []
    for accelerate in ("0", "1"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TINYSEGRANK_ACCELERATE", accelerate)
            options = {"segments": segments, "compactness": compactness, "smoothing": smoothing}
            found.append(slic(image, method="integer", **options))
    assert found[0].dtype == found[1].dtype == np.int32
    np.testing.assert_array_equal(found[0], found[1])
    for number in range(found[0].max() + 1):
        assert ndimage.label(found[0] == number)[1] == 1


def test_a_view_gives_what_its_copy_gives_and_stays_as_it_was():
    image = photograph((80, 90), seed=0)
    image.flags.writeable = False
    turned = image[::-1, ::2]
    np.testing.assert_array_equal(slic(turned, method="integer"), slic(turned.copy(), method="integer"))


def test_long_thin_images_are_cut_across():
    superpixels = slic(np.full((3, 400, 3), 90, np.uint8), segments=8, method="integer")
    assert superpixels.max() + 1 == 8
    assert (superpixels == superpixels[0]).all() and (np.diff(superpixels[0]) >= 0).all()


@pytest.mark.parametrize("options", [{"compactness": 501.0}, {"smoothing": 101.0}])
def test_what_32_bits_have_no_room_for_is_refused(options):
    with pytest.raises(ShapeError, match=r'at most 500 and 100.*"scikit-image"'):
        slic(np.zeros((4, 5, 3), np.uint8), method="integer", **options)
