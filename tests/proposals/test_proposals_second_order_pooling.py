"""Pooling against sums over single descriptors, the logarithm against SciPy's, and whole descriptions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from tinysegrank.errors import CheckpointError, ConfigError, ShapeError
from tinysegrank.files import write_arrays
from tinysegrank.proposals import Segments
from tinysegrank.proposals.o2p.second_order import (
    DescriptorReduction,
    SecondOrderOptions,
    describe_segments,
    local_descriptors,
)
from tinysegrank.proposals.o2p.second_order.pooling import (
    bounding_boxes,
    log_matrices,
    normalise_blocks,
    placed_averages,
    placements,
    superpixel_sums,
    upper_triangles,
)
from tinysegrank.superpixels import slic

SMALL = SecondOrderOptions(sift_cells=(2, 3), lbp_cells=(2, 4), step=3)


def picture(seed=0, shape=(28, 37, 3)):
    rng = np.random.default_rng(seed)
    image = np.kron(rng.integers(0, 256, (4, 5, 3)), np.ones((7, 8, 1)))[:28, :37] + rng.normal(0, 12, (28, 37, 3))
    return np.clip(image, 0, 255).astype(np.uint8)[: shape[0], : shape[1]]


def random_segments(image, count=6, seed=0):
    """Random unions of superpixels; the first is the whole image, the second a single superpixel."""
    superpixels = slic(image, segments=12)
    rng = np.random.default_rng(seed)
    members = rng.random((count, superpixels.max() + 1)) < 0.4
    members[:, 0] |= ~members.any(axis=1)
    members[:1] = True
    members[1:2] = np.arange(members.shape[1]) == 2
    return Segments(superpixels, members, rng.random(count))


def slow_average(kind, mask, box, size):
    """The mean outer product of the placed descriptors of the grid points inside a mask, one at a time."""
    x0, y0, w, h = box
    total, count = 0, 0
    for texture, colours, (x, y, s, _) in zip(*kind, strict=True):
        if mask[int(y), int(x)]:
            place = [(x - x0) / w, (y - y0) / h, (x - x0) / h, (y - y0) / w, size * s / h, size * s / w]
            d = np.concatenate([texture.astype(float), colours.astype(float), place])
            total, count = total + np.outer(d, d), count + 1
    return total / count


def test_pooled_averages_equal_those_over_single_descriptors():
    image = picture()
    segments = random_segments(image)
    for kind in local_descriptors(image, SMALL):
        sums = superpixel_sums(kind, segments.superpixels)
        figure = np.tensordot(segments.members.astype(float), sums, axes=1)
        boxes = bounding_boxes(segments.members, segments.superpixels)
        pooled = placed_averages(figure, placements(boxes, 8))
        ground = placed_averages(sums.sum(axis=0) - figure, placements(np.array([[0, 0, 37, 28]]), 24))
        for r in range(len(segments)):
            mask = segments.mask(r)
            rows, columns = np.nonzero(mask)
            box = columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
            expected = slow_average(kind, mask, box, 8)
            assert np.abs(pooled[r] - expected).max() <= 1e-8 * np.abs(expected).max()
            if r > 0:
                expected = slow_average(kind, ~mask, (0, 0, 37, 28), 24)
                assert np.abs(ground[r] - expected).max() <= 1e-8 * np.abs(expected).max()
        np.testing.assert_array_equal(ground[0], 0)  # nothing is left around the whole image


def test_order_of_descriptors_is_of_no_account_and_sums_add_up():
    image = picture()
    superpixels = slic(image, segments=12)
    kind = local_descriptors(image, SMALL).sift
    sums = superpixel_sums(kind, superpixels)
    order = np.random.default_rng(0).permutation(len(kind.texture))
    shuffled = type(kind)(*(array[order] for array in kind))
    np.testing.assert_allclose(superpixel_sums(shuffled, superpixels), sums, rtol=1e-10)
    np.testing.assert_allclose(superpixel_sums(kind, np.zeros_like(superpixels))[0], sums.sum(axis=0), rtol=1e-10)
    assert sums[:, -1, -1].sum() == len(order)


def test_superpixels_without_a_grid_point_add_nothing():
    image = picture()
    superpixels = np.zeros(image.shape[:2], int)
    kind = local_descriptors(image, SMALL).lbp
    rows, columns = (np.setdiff1d(np.arange(n), kind.places[:, axis]) for n, axis in ((28, 1), (37, 0)))
    superpixels[rows[0], columns[0]] = 2  # and 1 does not occur at all
    sums = superpixel_sums(kind, superpixels)
    np.testing.assert_array_equal(sums[1:], 0)
    A = placements(bounding_boxes(np.eye(3, dtype=bool)[[0, 2]], superpixels), 8)
    np.testing.assert_array_equal(placed_averages(sums[[0, 2]], A)[1], 0)


def test_superpixels_of_another_image_are_refused():
    with pytest.raises(ShapeError, match="another image"):
        superpixel_sums(local_descriptors(picture(), SMALL).sift, np.zeros((28, 30), int))


@pytest.mark.parametrize("rank", [1, 3, 9])
def test_logarithm_is_scipys(rank):
    x = np.random.default_rng(rank).normal(size=(4, 9, rank))
    matrices = x @ x.swapaxes(1, 2)
    for log, matrix in zip(log_matrices(matrices, ridge=1e-2), matrices, strict=True):
        np.testing.assert_allclose(log, scipy.linalg.logm(matrix + 1e-2 * np.eye(9)), atol=1e-9)


def test_logarithm_of_nothing_is_nothing():
    matrices = np.stack([np.zeros((3, 3)), np.eye(3)])
    np.testing.assert_allclose(log_matrices(matrices, ridge=0.5), [np.zeros((3, 3)), np.log(1.5) * np.eye(3)])


def test_upper_triangles_hold_each_number_once():
    matrix = np.arange(9.0).reshape(1, 3, 3)
    np.testing.assert_array_equal(upper_triangles(matrix), [[0, 1, 2, 4, 5, 8]])


def test_blocks_have_equal_length_before_the_power():
    blocks = [np.array([[3, -4], [0, 0]], np.float32), np.array([[-2], [7]], np.float32)]
    joined = normalise_blocks(blocks, power=0.75)
    np.testing.assert_allclose(np.sign(joined), [[1, -1, -1], [0, 0, 1]])
    expected = np.array([[0.6, 0.8, 1], [0, 0, 1]]) / np.sqrt(2)
    np.testing.assert_allclose(np.abs(joined), expected**0.75, rtol=1e-6)


def test_description_is_made_of_the_parts_in_their_order():
    image = picture()
    segments = random_segments(image)
    described = describe_segments(image, segments, options=SMALL)
    assert described.shape == (6, 2 * 143 * 144 // 2 + 73 * 74 // 2)
    assert described.dtype == np.float32
    mask, whole = segments.mask(3), (0, 0, 37, 28)
    rows, columns = np.nonzero(mask)
    box = columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
    sift, lbp = local_descriptors(image, SMALL)
    parts = []
    for kind, where, frame, size in ((sift, mask, box, 8), (sift, ~mask, whole, 24), (lbp, mask, box, 8)):
        average = slow_average(kind, where, frame, size)
        triangle = scipy.linalg.logm(average + 1e-3 * np.eye(len(average)))[np.triu_indices(len(average))]
        parts.append(triangle / np.linalg.norm(triangle) / np.sqrt(3))
    expected = np.concatenate(parts)
    np.testing.assert_allclose(described[3], np.sign(expected) * np.abs(expected) ** 0.75, atol=2e-5)
    np.testing.assert_array_equal(described[0, 143 * 72 : 2 * 143 * 72], 0)  # no ground around the whole image


def test_reduction_keeps_the_longest_directions():
    images = [picture(seed) for seed in range(3)]
    reduction = DescriptorReduction.fit(iter(images), options=SMALL, sift=7, lbp=5)
    assert (reduction.sift.shape, reduction.lbp.shape) == ((128, 7), (58, 5))
    textures = np.concatenate([local_descriptors(image, SMALL).sift.texture for image in images])
    _, _, directions = np.linalg.svd(textures.astype(float), full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(reduction.sift * directions[:7].T, axis=0)), 1, atol=1e-4)
    segments = random_segments(images[0])
    described = describe_segments(images[0], segments, options=SMALL, reduction=reduction)
    assert described.shape == (6, 2 * 22 * 23 // 2 + 20 * 21 // 2)


def test_reduction_is_saved_and_read(tmp_path):
    reduction = DescriptorReduction.fit([picture()], options=SMALL, sift=3, lbp=2)
    path = tmp_path / "reduction.safetensors"
    reduction.save(path)
    loaded = DescriptorReduction.load(path)
    np.testing.assert_array_equal(loaded.sift, reduction.sift)
    np.testing.assert_array_equal(loaded.lbp, reduction.lbp)
    write_arrays(path, {"sift": reduction.sift}, about={"format": "something else"})
    with pytest.raises(CheckpointError, match="descriptor reduction"):
        DescriptorReduction.load(path)
    write_arrays(path, {"sift": reduction.sift}, about={"format": "tinysegrank descriptor reduction 1"})
    with pytest.raises(CheckpointError, match="lbp"):
        DescriptorReduction.load(path)


def test_bad_reductions_are_named():
    with pytest.raises(ConfigError, match="at least one"):
        DescriptorReduction.fit([])
    with pytest.raises(ConfigError, match="sift"):
        DescriptorReduction(np.zeros((58, 3), np.float32), np.zeros((58, 3), np.float32))


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((30, 40, 3), np.uint8), id="black"),
        pytest.param(np.full((30, 40, 3), (10, 200, 30), np.uint8), id="one-colour"),
        pytest.param(picture()[..., 0], id="grey"),
        pytest.param(picture()[:, :1], id="one-column"),
        pytest.param(picture()[:1, :1], id="one-pixel"),
    ],
)
def test_any_image_has_finite_descriptions(image):
    height, width = image.shape[:2]
    superpixels = np.arange(height * width).reshape(height, width) * min(6, height * width) // (height * width)
    count = superpixels.max() + 1
    segments = Segments(
        superpixels, np.append(np.eye(count, dtype=bool), [[True] * count], axis=0), np.zeros(count + 1)
    )
    described = describe_segments(image, segments)
    assert described.shape == (count + 1, 23293)
    assert np.isfinite(described).all()
    none = describe_segments(image, segments.take(np.array([], int)))
    assert none.shape == (0, 23293)


def test_segments_of_another_image_are_refused():
    with pytest.raises(ShapeError, match="segments"):
        describe_segments(picture()[:-1], random_segments(picture()))
