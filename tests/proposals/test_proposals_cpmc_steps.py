"""The steps around the cuts, each against its definition or brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.o2p.cpmc import (
    Boundaries,
    Hypotheses,
    best_of_clusters,
    colour_gains,
    connected_parts,
    cut_ratios,
    diverse_order,
    drop_duplicates,
    edge_map,
    find_boundaries,
    frame_hypotheses,
    grid_seeds,
    lambdas,
    low_cut_ratios,
    oversegment,
    uniform_gains,
)
from tinysegrank.proposals.o2p.cpmc.gains import palette
from tinysegrank.proposals.o2p.segments import segment_overlaps
from tinysegrank.superpixels import as_lab

SEEDS = st.integers(0, 2**32 - 1)


def random_overlaps(seed, count=12, superpixels=15):
    rng = np.random.default_rng(seed)
    members = rng.random((count, superpixels)) < 0.5
    members[:, 0] = True
    members[1::3] = members[::3][: len(members[1::3])]  # near duplicates: one superpixel differs
    members[1::3, 1] = ~members[1::3, 1]
    return segment_overlaps(members, rng.integers(1, 50, superpixels)), rng.random(count).round(1)


def blocks(rows=4, columns=5, side=6):
    """Superpixels that are squares, and their number."""
    return np.kron(np.arange(rows * columns).reshape(rows, columns), np.ones((side, side), int))


# Edges and superpixels -----------------------------------------------------------------------------------------------


def test_edges_lie_where_colours_change():
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, 15:] = 250
    edges = edge_map(image, smoothing=1.0)
    assert edges.shape == (20, 30)
    assert edges.max() == 1
    np.testing.assert_allclose(edges[:, 14:16], 1, rtol=1e-5)
    assert edges[:, :9].max() < 1e-3
    np.testing.assert_allclose(edges, edges[:, ::-1], atol=1e-5)
    np.testing.assert_array_equal(edge_map(image[..., 0], smoothing=1.0), edges)
    np.testing.assert_array_equal(edge_map(image, smoothing=1.0, lab=as_lab(image)), edges)
    assert not edge_map(image, lab=np.zeros((*image.shape[:2], 3), np.float32)).any()  # the Lab given, not the image's


@pytest.mark.parametrize("colour", [0, 255, (3, 99, 200)], ids=str)
def test_one_colour_has_no_edges(colour):
    assert not edge_map(np.full((9, 12, 3), colour, np.uint8)).any()


def test_superpixels_are_connected_and_numbered_without_gaps(rng):
    image = rng.integers(0, 256, (60, 90, 3), np.uint8)
    found = oversegment(edge_map(image), count=50)
    assert 40 <= found.max() + 1 <= 60
    assert (np.bincount(found.ravel()) > 0).all()
    assert all(ndimage.label(found == s)[1] == 1 for s in range(found.max() + 1))


@pytest.mark.parametrize(("shape", "count"), [((1, 1), 800), ((1, 50), 10), ((50, 1), 10), ((4, 5), 800), ((9, 9), 1)])
def test_superpixels_of_small_images(shape, count):
    found = oversegment(np.zeros(shape, np.float32), count=count)
    assert found.shape == shape
    assert found.max() + 1 == min(count, shape[0] * shape[1])


def test_boundaries_are_summed_over_pixel_pairs(rng):
    superpixels, edges = rng.integers(0, 4, (7, 8)), rng.random((7, 8))
    found = find_boundaries(superpixels, edges, contrast=0.5, floor=3)
    length, cost, strength = (np.zeros((4, 4)) for _ in range(3))
    for r, c, dr, dc in itertools.product(range(7), range(8), (0, 1), (0, 1)):
        if dr + dc == 1 and r + dr < 7 and c + dc < 8:
            a, b = sorted((superpixels[r, c], superpixels[r + dr, c + dc]))
            e = max(edges[r, c], edges[r + dr, c + dc])
            length[a, b] += 1
            cost[a, b] += 1000 * np.exp(-e / 0.5) + 3
            strength[a, b] += e
    expected = [(a, b) for a, b in itertools.combinations(range(4), 2) if length[a, b]]
    assert [tuple(edge) for edge in found.edges.tolist()] == expected
    a, b = np.array(expected).T
    np.testing.assert_array_equal(found.length, length[a, b])
    np.testing.assert_array_equal(found.weight, np.rint(cost[a, b]))
    np.testing.assert_allclose(found.strength, strength[a, b] / length[a, b])


# Hypotheses and gains ------------------------------------------------------------------------------------------------


def test_seeds_are_the_superpixels_that_lie_mostly_in_the_square():
    superpixels = blocks(5, 5, 6)  # the centres of the grid's cells are at 3, 9, 15, ...
    found = grid_seeds(superpixels, grid=5, size=12)
    np.testing.assert_array_equal(found.seeds, np.eye(25, dtype=bool))  # neighbours are half inside: no more than half
    found = grid_seeds(superpixels, grid=1, size=14)
    assert np.flatnonzero(found.seeds[0]).tolist() == [7, 11, 12, 13, 17]
    assert found.frame[0].reshape(5, 5)[1:-1, 1:-1].max() == 0
    assert found.frame.max() < 11
    far = grid_seeds(superpixels, grid=5, size=12).frame[0]  # from the top left
    assert far[0] < far[4] < far[24]


def test_frames_count_their_pixels():
    found = frame_hypotheses(blocks(2, 2, 3))
    assert not found.seeds.any()
    assert found.frame.tolist() == [[6, 6, 6, 6], [6, 6, 3, 3], [3, 3, 3, 3], [3, 3, 3, 3], [0, 0, 3, 3], [3, 3, 0, 0]]


def test_gains_are_of_lambda_colour_and_frame():
    hypotheses = Hypotheses(np.array([[True, False, False]]), np.array([[0.0, 0.0, 2.5]]))
    areas, schedule = np.array([10, 20, 30]), lambdas(100.0, count=2, lower=1.0)
    assert schedule.tolist() == pytest.approx([0, 1, 100])
    gain = uniform_gains(hypotheses, areas, schedule)
    assert gain.shape == (1, 3, 3)
    assert (gain[0, :, 0] > 1e9).all()
    assert gain[0, :, 1:].tolist() == [[0, -2500], [20, 30 - 2500], [2000, 3000 - 2500]]
    colours = np.array([[10.0, 0, 0], [12, 3, 0], [200, 0, 0]])
    extra = colour_gains(hypotheses, areas, schedule, colours)[0, :, 1:] - gain[0, :, 1:]
    like_seed = 300 * np.exp(-0.07 * np.array([5.0, 190]))
    like_frame = 300 * np.exp(-0.07 * np.array([191.0, 0]))
    np.testing.assert_array_equal(extra, np.rint(areas[1:] * (like_seed - like_frame))[None].repeat(3, 0))


def test_palette_finds_separate_colours(rng):
    centres = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [250, 250, 250]], float)
    colours = (centres[:, None] + rng.normal(0, 2, (5, 20, 3))).reshape(-1, 3)
    weights = rng.integers(1, 9, 100)
    found = palette(colours, weights)
    expected = [np.average(colours[k : k + 20], axis=0, weights=weights[k : k + 20]) for k in range(0, 100, 20)]
    np.testing.assert_allclose(found[np.lexsort(found.T.round())], np.array(expected)[np.lexsort(np.round(expected).T)])
    np.testing.assert_array_equal(palette(np.ones((4, 3)), np.ones(4)), np.ones((1, 3)))
    assert len(palette(colours, np.arange(100) == 7)) == 1


# Parts and filters ---------------------------------------------------------------------------------------------------


@given(SEEDS)
def test_parts_are_connected_components(seed):
    superpixels = np.arange(30).reshape(5, 6)
    edges = find_boundaries(superpixels, np.zeros((5, 6))).edges
    members = np.random.default_rng(seed).random((4, 30)) < 0.4
    expected = set()
    for row in members:
        labels, count = ndimage.label(row.reshape(5, 6))
        expected |= {(labels == k).tobytes() for k in range(1, count + 1)}
    found = connected_parts(members, edges)
    assert {row.tobytes() for row in found} == expected
    assert len(found) == len(expected)


def test_no_set_has_no_parts():
    assert connected_parts(np.zeros((3, 4), bool), np.array([[0, 1]])).shape == (0, 4)
    assert connected_parts(np.zeros((0, 4), bool), np.zeros((0, 2), int)).shape == (0, 4)


def test_cut_ratio_is_the_mean_over_parted_pairs():
    boundaries = Boundaries(np.array([[0, 1], [1, 2]]), np.array([2, 6]), np.array([20, 6]), np.zeros(2))
    members = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 1]], bool)
    assert cut_ratios(members, boundaries).tolist() == [10, 26 / 8, 1, np.inf]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, float("inf")])), st.integers(0, 6))
def test_low_cut_ratios_are_kept_and_a_few_in_any_case(ratios, least):
    kept = low_cut_ratios(np.array(ratios, float), limit=1, least=least)
    finite = sorted(r for r in ratios if r < np.inf)
    expected = max(sum(r <= 1 for r in ratios), min(least, len(finite)))
    assert sorted(ratios[i] for i in kept) == finite[:expected]


@given(SEEDS)
def test_duplicates_are_dropped_by_definition(seed):
    overlaps, _ = random_overlaps(seed)
    expected = []
    for i in range(len(overlaps)):
        if all(overlaps[i, j] <= 0.9 for j in expected):
            expected.append(i)
    assert drop_duplicates(overlaps, limit=0.9).tolist() == expected


@given(SEEDS)
def test_clusters_are_those_of_single_linkage(seed):
    overlaps, ratios = random_overlaps(seed)
    clusters = fcluster(linkage(squareform(1 - overlaps, checks=False), "single"), 0.1, "distance")
    expected = [min(np.flatnonzero(clusters == k), key=lambda i: (ratios[i], i)) for k in np.unique(clusters)]
    assert best_of_clusters(overlaps, ratios, distance=0.1).tolist() == sorted(expected)


def test_filters_of_nothing():
    none = np.zeros((0, 0)), np.zeros(0)
    assert best_of_clusters(*none).tolist() == drop_duplicates(none[0]).tolist() == []
    assert low_cut_ratios(none[1], limit=1).tolist() == diverse_order(none[1], none[0]).tolist() == []


# Diverse order -------------------------------------------------------------------------------------------------------


@given(SEEDS, st.sampled_from([0.0, 0.5, 0.75, 1.0]), st.integers(0, 15))
def test_diverse_order_by_definition(seed, relevance, count):
    overlaps, scores = random_overlaps(seed)
    expected = []
    for _ in range(min(count, len(scores))):
        free = [i for i in range(len(scores)) if i not in expected]
        worth = {
            i: relevance * scores[i] - (1 - relevance) * max(overlaps[i, j] for j in expected)
            if expected
            else scores[i]
            for i in free
        }
        expected.append(max(free, key=worth.get))
    assert diverse_order(scores, overlaps, count=count, relevance=relevance).tolist() == expected


# Bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: edge_map(np.zeros((3, 3), np.uint8), lab=np.zeros((3, 4, 3))), "lab"),
        (lambda: find_boundaries(np.zeros((3, 3), int), np.zeros((3, 2))), "size"),
        (lambda: find_boundaries(np.full((3, 3), -1), np.zeros((3, 3))), "negative"),
        (lambda: frame_hypotheses(np.zeros(3, int)), "map"),
        (lambda: uniform_gains(frame_hypotheses(blocks()), np.ones(3, int), lambdas(1)), "same"),
        (lambda: diverse_order(np.zeros(2), np.eye(3)), "square"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ShapeError, match=message):
        call()
