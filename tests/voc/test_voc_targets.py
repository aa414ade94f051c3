from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinysegrank.errors import DatasetError, ShapeError
from tinysegrank.voc import soft_targets, soft_targets_many, tile_edges, tile_index


@pytest.fixture(params=["0", "1"], ids=["numpy", "numba"], autouse=True)
def accelerate(request, monkeypatch):
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", request.param)


def by_the_definition(labels, grid, num_classes, void):
    """Tile by tile, class by class, in rational numbers."""
    (height, width), (rows, columns) = labels.shape, grid
    target = np.zeros((rows, columns, num_classes))
    weight = np.zeros(grid)
    for r in range(rows):
        for c in range(columns):
            tile = [
                labels[y, x]
                for y in range(edge(r, height, rows), edge(r + 1, height, rows))
                for x in range(edge(c, width, columns), edge(c + 1, width, columns))
            ]
            valid = [label for label in tile if label != void]
            weight[r, c] = Fraction(len(valid), len(tile))
            for k in range(num_classes):
                if valid:
                    target[r, c, k] = Fraction(valid.count(k), len(valid))
    return target, weight


def edge(index, length, count):
    exact = Fraction(index * length, count)
    whole = exact.numerator // exact.denominator
    return whole + (exact - whole >= Fraction(1, 2))


@given(length=st.integers(1, 700), count=st.integers(1, 40))
def test_tile_edges_partition_the_side(length, count):
    if length < count:
        with pytest.raises(DatasetError, match=f"{length} pixels is too small for {count} tiles"):
            tile_edges(length, count)
        return
    edges = tile_edges(length, count)
    assert edges.tolist() == [edge(index, length, count) for index in range(count + 1)]
    sizes = np.diff(edges)
    assert edges[0] == 0 and edges[-1] == length
    assert sizes.min() >= 1 and np.ptp(sizes) <= 1
    if count % 2:
        np.testing.assert_array_equal(length - edges[::-1], edges)  # the mirror image has mirrored tiles
    index = tile_index(length, count)
    np.testing.assert_array_equal(np.searchsorted(edges, np.arange(length), side="right") - 1, index)


def test_tile_edges_at_227():
    assert tile_edges(227, 13).tolist() == [0, 17, 35, 52, 70, 87, 105, 122, 140, 157, 175, 192, 210, 227]


@settings(deadline=None)  # numba compiles in the first example
@given(
    labels=st.tuples(st.integers(3, 12), st.integers(4, 15)).flatmap(
        lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 4, 255]))
    ),
    grid=st.tuples(st.integers(1, 3), st.integers(1, 4)),
)
def test_soft_targets_by_the_definition(labels, grid):
    target, weight = soft_targets(labels, grid=grid, num_classes=5)
    expected_target, expected_weight = by_the_definition(labels, grid, 5, 255)
    assert target.dtype == weight.dtype == np.float32
    np.testing.assert_allclose(target, expected_target, rtol=1e-7)
    np.testing.assert_allclose(weight, expected_weight, rtol=1e-7)


def random_labels(shape=(61, 74), seed=0):
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 21, (7, 8)), np.ones((9, 10), int))[: shape[0], : shape[1]]
    labels[:12, :12] = 255
    labels[rng.random(labels.shape) < 0.1] = 255
    return labels.astype(np.uint8)


def test_default_grid_sums_and_conserved_mass():
    labels = random_labels()
    target, weight = soft_targets(labels)
    assert target.shape == (13, 13, 21) and weight.shape == (13, 13)
    assert weight[0, 0] == 0 and not target[0, 0].any()
    np.testing.assert_allclose(target.sum(axis=2), weight > 0, atol=1e-6)
    area = np.outer(np.diff(tile_edges(61, 13)), np.diff(tile_edges(74, 13)))
    mass = (target.astype(float) * (weight * area)[..., None]).sum(axis=(0, 1))
    np.testing.assert_allclose(mass, [(labels == k).sum() for k in range(21)], rtol=1e-6)


def test_mirrored_labels_give_mirrored_targets():
    labels = random_labels()
    target, weight = soft_targets(labels)
    mirrored_target, mirrored_weight = soft_targets(labels[:, ::-1])
    np.testing.assert_array_equal(mirrored_target, target[:, ::-1])
    np.testing.assert_array_equal(mirrored_weight, weight[:, ::-1])


def test_many_maps_at_once_are_each_as_alone():
    maps = np.stack([random_labels(seed=seed) for seed in range(4)])
    targets, weights = soft_targets_many(maps)
    for labels, target, weight in zip(maps, targets, weights, strict=True):
        np.testing.assert_array_equal(target, soft_targets(labels)[0])
        np.testing.assert_array_equal(weight, soft_targets(labels)[1])
    none, _ = soft_targets_many(maps[:0])
    assert none.shape == (0, 13, 13, 21)


def test_proposals_have_no_void():
    proposal = np.where(random_labels() == 255, 0, random_labels())
    _, weight = soft_targets(proposal, void=None)
    assert (weight == 1).all()
    with pytest.raises(DatasetError, match="255"):
        soft_targets(random_labels(), void=None)


def test_wide_integers_read_only_and_strided_labels_give_the_same():
    labels = random_labels()
    frozen = labels.copy()
    frozen.flags.writeable = False
    for same in (labels.astype(np.int64), frozen, np.asfortranarray(labels), np.repeat(labels, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(soft_targets(same)[0], soft_targets(labels)[0])


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (np.zeros((12, 40), np.uint8), DatasetError, "12 pixels is too small for 13"),
        (np.zeros((40, 12), np.uint8), DatasetError, "12 pixels is too small for 13"),
        (np.full((20, 20), 21, np.uint8), DatasetError, "21"),
        (np.full((20, 20), -1), DatasetError, "-1"),
        (np.zeros((20, 20)), ShapeError, "not integer"),
        (np.zeros((2, 20, 20), np.uint8), ShapeError, "soft_targets_many"),
    ],
)
def test_bad_labels(labels, error, words):
    with pytest.raises(error, match=words):
        soft_targets(labels)
